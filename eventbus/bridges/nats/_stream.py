"""
The streams of a bridge: created if they aren't there, checked if they are, changed never.

Three streams belong to a bridge: that of the events, that of the dead letters, which is made when
the first event is parked, and that of a key-value bucket with the state of groups, journals and
tools.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs

from ...exceptions import BridgeSetupError, OptionError
from ._client import Connection, JetStreamError
from ._subjects import Subjects

FORMAT_VERSION: Final = 1

_MAX_SECONDS: Final = 9e9  # in nanoseconds, that still is an integer of 64 bits
_NOT_FOUND: Final = 10059
_NAME_IN_USE: Final = 10058

_FORMAT: Final = "eventbus-format"
_PARTITIONS: Final = "eventbus-partitions"

_FORBIDDEN: Final = set(" .*>/\\\t\r\n%")

Storage: TypeAlias = Literal["file", "memory"]


def check_name(name: object, *, option: str) -> str:
    """
    Return *name*, which is to be a stream's name or a prefix.

    Raises:
        OptionError: It can't be one.
    """
    if not isinstance(name, str) or not name or set(name) & _FORBIDDEN or not name.isprintable():
        msg = f"{option}={name!r} has to be a name without spaces, dots, wildcards and slashes."
        raise OptionError(msg, option=option)
    return name


@attrs.frozen
class StreamSettings:
    """
    The settings of a bridge's stream; None is any, and the default where it is created.

    Attributes:
        partitions: Partitions that calls are spread over; 64 by default.
        storage: ``file`` by default.
        replicas: Servers of the cluster that store it; 1 by default.
        max_age: Seconds after which events are deleted; a day by default.
        max_bytes: Bytes after which the oldest events are deleted; no limit by default.
        duplicate_window: Seconds in which the server recognises repetitions; 120 by default.
    """

    partitions: int | None = None
    storage: Storage | None = None
    replicas: int | None = None
    max_age: float | None = None
    max_bytes: int | None = None
    duplicate_window: float | None = None

    def wanted(self) -> dict[str, object]:
        """Return those that were given, by the name that the server has for them."""
        given = {
            "storage": self.storage,
            "num_replicas": self.replicas,
            "max_age": None if self.max_age is None else round(self.max_age * 1e9),
            "max_bytes": self.max_bytes,
            "duplicate_window": (
                None if self.duplicate_window is None else round(self.duplicate_window * 1e9)
            ),
        }
        return {name: value for name, value in given.items() if value is not None}

    def config(self, name: str, subject: str) -> dict[str, Any]:
        """Return the configuration for the server."""
        defaults = {
            "storage": "file",
            "num_replicas": 1,
            "max_age": 86_400_000_000_000,
            "max_bytes": -1,
            "duplicate_window": 120_000_000_000,
        }
        config: dict[str, Any] = {
            "name": name,
            "subjects": [subject],
            "retention": "limits",
            "discard": "old",
            "max_consumers": -1,
            "max_msgs": -1,
            "max_msgs_per_subject": -1,
            "max_msg_size": -1,
            "allow_direct": True,
            **defaults,
            **self.wanted(),
        }
        # The server refuses a window that is longer than the age.
        if config["max_age"]:
            config["duplicate_window"] = min(config["duplicate_window"], config["max_age"])
        return config


def check_settings(settings: StreamSettings) -> None:
    """
    Check the values.

    Raises:
        OptionError: One of them can't be.
    """
    for name, least in (("partitions", 1), ("replicas", 1), ("max_bytes", -1)):
        value = getattr(settings, name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            value = least - 1
        if value is not None and value < least:
            msg = f"{name}= is a whole number from {least} on, not {getattr(settings, name)!r}."
            raise OptionError(msg, option=name)
    for name in ("max_age", "duplicate_window"):
        seconds = getattr(settings, name)
        if seconds is not None and not _is_time(seconds):
            msg = f"{name}= is a number of seconds from 0 on, not {seconds!r}."
            raise OptionError(msg, option=name)
    if settings.storage not in (None, "file", "memory"):
        msg = f"storage= is 'file' or 'memory', not {settings.storage!r}."
        raise OptionError(msg, option="storage")


def _is_time(value: Any) -> bool:
    """Return whether *value* is a number of seconds that the server can count in nanoseconds."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value < _MAX_SECONDS


async def open_stream(
    connection: Connection, name: str, prefix: str, settings: StreamSettings
) -> Subjects:
    """
    Create the stream of events, or check the one that is there; return its subjects.

    Raises:
        BridgeSetupError: It can't be created, or has other settings.
        BridgeConnectionError: The server gives no answer.
    """
    partitions = settings.partitions or 64
    config = settings.config(name, f"{prefix}.*.*.*")
    config["metadata"] = {_FORMAT: str(FORMAT_VERSION), _PARTITIONS: str(partitions)}
    found = await _create(connection, config)
    if found is None:
        return Subjects(name, prefix, partitions)
    metadata: Mapping[str, str] = found.get("metadata") or {}
    differences: dict[str, tuple[object, object]] = {}
    if _PARTITIONS not in metadata:
        msg = (
            f"The stream {name!r} wasn't made by a bridge: it has no number of partitions. Pass "
            f"another name as stream=, or delete that one with: nats stream rm {name}."
        )
        raise BridgeSetupError(msg)
    if int(metadata.get(_FORMAT, "1")) > FORMAT_VERSION:
        differences["format"] = (metadata[_FORMAT], str(FORMAT_VERSION))
    if found.get("subjects") != config["subjects"]:
        differences["subjects"] = (found.get("subjects"), config["subjects"])
    if settings.partitions is not None and int(metadata[_PARTITIONS]) != partitions:
        differences["partitions"] = (int(metadata[_PARTITIONS]), partitions)
    for setting, value in settings.wanted().items():
        if found.get(setting) != value:
            differences[setting] = (found.get(setting), value)
    if differences:
        shown = "; ".join(
            f"{setting} is {is_now!r}, not {wanted!r}"
            for setting, (is_now, wanted) in differences.items()
        )
        msg = (
            f"The stream {name!r} has other settings: {shown}. Pass those that it has, or change "
            f"it with the nats command; a bridge never changes a stream."
        )
        raise BridgeSetupError(msg, differences=differences)
    return Subjects(name, prefix, int(metadata[_PARTITIONS]))


async def open_bucket(connection: Connection, subjects: Subjects, replicas: int | None) -> None:
    """Create the bucket of a bridge's state, unless it is there."""
    config = {
        "name": f"KV_{subjects.bucket}",
        "subjects": [f"$KV.{subjects.bucket}.>"],
        "retention": "limits",
        "discard": "new",
        "max_msgs_per_subject": 1,
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "storage": "file",
        "num_replicas": replicas or 1,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "duplicate_window": 120_000_000_000,
    }
    await _create(connection, config)


async def open_dead_letters(
    connection: Connection, subjects: Subjects, settings: StreamSettings
) -> None:
    """Create the stream of dead letters, unless it is there."""
    kept = attrs.evolve(settings, max_age=0.0)  # until somebody has looked at them
    await _create(connection, kept.config(subjects.dead_stream, subjects.dead))


async def _create(connection: Connection, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Create a stream; return the configuration of the one that is there, if there is one."""
    name = config["name"]
    found = await _info(connection, name)
    if found is not None:
        return found
    try:
        await connection.api(f"STREAM.CREATE.{name}", config)
    except JetStreamError as exc:
        if exc.err_code == _NAME_IN_USE:  # somebody was faster, with another configuration
            return await _info(connection, name)
        msg = f"The stream {name!r} can't be created: {exc.description}."
        raise BridgeSetupError(msg) from exc
    return None


async def _info(connection: Connection, name: str) -> dict[str, Any] | None:
    try:
        answer = await connection.api(f"STREAM.INFO.{name}")
    except JetStreamError as exc:
        if exc.err_code == _NOT_FOUND:
            return None
        msg = f"The stream {name!r} can't be looked at: {exc.description}."
        raise BridgeSetupError(msg) from exc
    config: dict[str, Any] = answer["config"]
    return config


async def last_sequence(connection: Connection, name: str) -> int:
    """Return the number of the last message in a stream; 0 if there has been none."""
    answer = await connection.api(f"STREAM.INFO.{name}")
    return int(answer["state"]["last_seq"])


async def get_last(connection: Connection, stream: str, subject: str) -> tuple[int, bytes] | None:
    """Return number and payload of a subject's last message, which may be a deletion's."""
    try:
        answer = await connection.api(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})
    except JetStreamError as exc:
        if exc.code == 404:
            return None
        raise
    message = answer["message"]
    return int(message["seq"]), base64.b64decode(message.get("data", ""))


async def read_tools(connection: Connection, subjects: Subjects) -> dict[str, bytes]:
    """Return the announcements of tools, by name."""
    stream = f"KV_{subjects.bucket}"
    request = {"subjects_filter": subjects.key("tools", ">")}
    answer = await connection.api(f"STREAM.INFO.{stream}", request)
    found = {}
    for subject in answer["state"].get("subjects") or ():
        last = await get_last(connection, stream, subject)
        if last is not None:
            found[subject.rpartition(".")[2]] = last[1]
    return found
