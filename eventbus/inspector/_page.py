"""
The page in one file, with a recording in it, to be opened from disk and sent to somebody.

The modules are joined in the order in which they need each other; their names don't clash, which
a test checks. The policy of the file allows the script and the style in it, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from importlib import resources
from itertools import islice
from typing import IO, Any, Final

from ..analysis import RecordView, views
from ..exceptions import ExportError
from ..export._rows import plain_json, record_data
from ..journal import Record
from ._call import CallView
from ._file import JournalView, row_of

MODULES: Final = (
    *("scale.js", "filter.js", "pages.js", "address.js", "keys.js", "source.js", "sound.js"),
    *("detail.js", "paint.js", "lanes.js", "list.js", "compare.js", "frame.js", "screen.js"),
    *("moving.js", "records.js", "calls.js", "app.js"),
)

"""The modules of the page, each behind those that it imports."""

FILES: Final = frozenset({"index.html", "style.css", *MODULES})
"""The files of the page."""

_STATIC: Final = resources.files(__name__.rpartition(".")[0]) / "static"
_IMPORT: Final = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT: Final = re.compile(r"^export ", re.MULTILINE)
_MAX_RECORDS: Final = 200_000
# The sound is a string of the page, which has 512 MB in a browser: 70 minutes, silence included.
_MAX_SOUND_MS: Final = 3_600_000


def write_html(
    records: Iterable[Record | RecordView], file: IO[str], *, name: str = "call"
) -> None:
    """
    Write a call as one page, with its audio in it.

    Args:
        records: A `Journal`, or records of one call in their order.
        file: Open for writing.
        name: The recording's name, for the title.

    Raises:
        ExportError: There are several calls, or none, or it is too long for one file.
    """
    kept = list(islice(views(records), _MAX_RECORDS + 1))
    if len(kept) > _MAX_RECORDS:
        msg = (
            f"A page of its own holds {_MAX_RECORDS} records, and there are more; "
            f"trim the journal to a part of it, or use eventbus inspect."
        )
        raise ExportError(msg)
    view = JournalView.of(kept, name)
    call = _only(view)
    file.write(_page(_recording(view, call), f"{name}: {call.sender or 'call'}"))


def _only(view: JournalView) -> CallView:
    """Return the one call that the journal has; records without a sender are no call beside it."""
    calls = [call for call in view.calls.values() if len(call.lines)]
    named = [call for call in calls if call.sender is not None]
    if len(named) > 1:
        names = ", ".join(str(call.sender) for call in named[:3])
        msg = f"{len(named)} calls are in it, and a page has one; pick it: sender:NAME ({names}…)."
        raise ExportError(msg)
    if not calls:
        msg = "There are no records in it, so there is nothing to show."
        raise ExportError(msg)
    return named[0] if named else calls[0]


def _recording(view: JournalView, call: CallView) -> dict[str, Any]:
    rows, records = [], {}
    for facts in view.details(call):
        rows.append([_row(facts), call.lines.number_of(facts.seq)])
        records[facts.seq] = json.loads(plain_json(record_data(facts)), object_hook=_without_audio)
    overview = view.overview(call)
    end_ms = overview["end_ms"] + 1
    has_sound = overview["has_audio"] and call.has_sound
    if has_sound and end_ms > _MAX_SOUND_MS:
        msg = (
            "A page of its own holds an hour of sound, and the call lasts longer; trim the journal "
            "to a part of it, leave the audio out with eventbus redact, or use eventbus inspect."
        )
        raise ExportError(msg)
    sound = view.sound(call, 0.0, end_ms) if has_sound else None
    return {
        "overview": overview,
        "window": view.window(call, 0.0, end_ms, is_whole=True),
        "lines": view.lines(call, count=None)["lines"],
        "rows": rows,
        "records": records,
        "audio": None if sound is None else base64.b64encode(sound).decode(),
    }


def _row(facts: RecordView) -> dict[str, Any]:
    return {**row_of(facts), "texts": list(facts.texts())}


def _without_audio(data: dict[str, Any]) -> dict[str, Any]:
    """Shorten the audio of a frame or an event: the page has it once, as sound."""
    for name in ("delta", "audio", "$bytes"):
        value = data.get(name)
        if isinstance(value, str) and len(value) > 512:
            data[name] = f"<{len(value)} characters>"
    return data


def _page(recording: dict[str, Any], title: str) -> str:
    style = (_STATIC / "style.css").read_text("utf-8")
    script = "".join(_joined(name) for name in MODULES)
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    )
    page = (_STATIC / "index.html").read_text("utf-8")
    head, _, body = page.partition("</head>")
    head = head.replace("<title>eventbus inspector</title>", f"<title>{_text(title)}</title>")
    head = head.replace('<link rel="stylesheet" href="style.css">\n', "")
    head = head.replace('<script type="module" src="app.js"></script>\n', "")
    policy_tag = f'<meta http-equiv="content-security-policy" content="{policy}">\n'
    head = head.replace('<meta charset="utf-8">\n', f'<meta charset="utf-8">\n{policy_tag}')
    data = json.dumps(recording, separators=(",", ":")).replace("<", "\\u003c")
    tail = (
        f'<script type="application/json" id="recording">{data}</script>\n'
        f'<script type="module">{script}</script>\n</body>'
    )
    return f"{head}<style>{style}</style>\n</head>{body.replace('</body>', tail)}"


def _joined(name: str) -> str:
    text = (_STATIC / name).read_text("utf-8")
    return _EXPORT.sub("", _IMPORT.sub("", text))


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _text(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;")
