"""
The types of the parts around the bus: checked by mypy --strict and by pyright, never run.

As in ``api.py``, a line that is wrong on purpose says which rule of each checker it breaks.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, assert_type

from eventbus import Context, EventBus, EventObserver, EventsDropped, HandlerCall, Scope
from eventbus.analysis import (
    Figures,
    Filter,
    Limit,
    RecordView,
    measure,
    parse_filter,
    parse_limit,
    percentile,
    views,
)
from eventbus.audio import (
    G711_ULAW,
    PCM16,
    AudioFormat,
    Played,
    PlayoutQueue,
    Resampler,
    WavReader,
    WavWriter,
    resample,
)
from eventbus.audio.devices import Loudspeaker, Microphone
from eventbus.bridges import (
    ApproveToolCall,
    Delivery,
    HangUp,
    Interrupt,
    RejectToolCall,
    Retry,
    SendMessage,
    UpdateSettings,
    current_delivery,
)
from eventbus.bridges.nats import (
    Commanding,
    Forwarding,
    ForwardStats,
    JournalForwarding,
    NatsBridge,
    ReceiveStats,
    Receiving,
    RemoteTool,
)
from eventbus.callers import Caller, Reply, SessionLine, TwilioLine
from eventbus.codec import UnknownObject, dumps, from_plain, loads, packs, to_plain, unpacks
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnEndedEvent,
)
from eventbus.exceptions import CommandFailed, EventBusError, JournalDamaged, NoSuchCall
from eventbus.export import (
    FORMATS,
    write_chrome_trace,
    write_csv,
    write_jsonl,
    write_srt,
    write_wav,
)
from eventbus.inspector import Inspector, write_html
from eventbus.items import AssistantMessageItem, RealtimeItem, UserMessageItem
from eventbus.journal import (
    CallRecord,
    DropRecord,
    EventRecord,
    FrameRecord,
    Journal,
    Record,
    Recorder,
    Recording,
    Row,
    TornTail,
    open_journal,
    repair_journal,
)
from eventbus.middleware import summarize
from eventbus.realtime import RealtimeModel, RealtimeSession, Tool
from eventbus.realtime.events import RealtimeSessionRestored
from eventbus.realtime.history import History, HistoryChange, HistorySnapshot
from eventbus.realtime.inputs import RealtimeModelSendRawMessage, RealtimeModelSendUserInput
from eventbus.realtime.memory import Memory
from eventbus.realtime.openai import GPTLiveModel, OpenAIRealtimeModel
from eventbus.realtime.playback import RealtimePlaybackTracker
from eventbus.realtime.proxy import RealtimeProxy
from eventbus.realtime.session import SessionTools
from eventbus.realtime.settings import RealtimeSessionModelSettings
from eventbus.realtime.transport import ReconnectPolicy, RenewalPolicy
from eventbus.replay import Difference, Player, ReplayReport, differences, is_journal, replay
from eventbus.simulator import Fault, Scenario, Simulator, load_scenario
from eventbus.simulator.faults import parse_faults
from eventbus.simulator.scenario import Turn
from eventbus.simulator.speech import silence, speak, spoken_text
from eventbus.telemetry import Summary, SummaryObserver
from eventbus.wire import Decoder, Origin, find_decoder, origin_of, register_decoder
from eventbus.wire.gemini import GeminiDecoder
from eventbus.wire.openai import Dialect, GPTLiveDecoder, OpenAIRealtimeDecoder, dialect_of

bus = EventBus()
event = RealtimeModelTranscriptDeltaEvent("item", "Hello", "response")


# --- frames and formats ----------------------------------------------------------------------

decoder: Decoder = OpenAIRealtimeDecoder(max_bytes=1_000_000)
another: Decoder = GPTLiveDecoder(gap_ms=500)
of_gemini: Decoder = GeminiDecoder(id_prefix="gem2")
assert_type(decoder.decode(b"{}"), Sequence[RealtimeModelEvent])
decoder.publish_to(bus, {"type": "session.created"}, sender="call-1")
decoder.publish_to(bus.scope("call-1"), "{}")
# a frame is bytes, text or a mapping
decoder.decode(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(origin_of(event), Origin | None)
assert_type(find_decoder("openai"), Callable[..., Decoder] | None)
register_decoder(OpenAIRealtimeDecoder, name="mine")
# a decoder has decode and publish_to
register_decoder(dict)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(dialect_of("wss://api.openai.com/v1/realtime"), Dialect | None)

assert_type(dumps(event), str)
assert_type(packs(event), bytes)
assert_type(to_plain(event), dict[str, Any])
assert_type(loads(dumps(event)), Any)
assert_type(unpacks(packs(event)), Any)
assert_type(from_plain({"type": "transcript_delta"}), Any)
unknown = UnknownObject("shop.order", {"number": 7})
assert_type(unknown.fields, Mapping[str, Any])
# MessagePack is bytes
unpacks("{}")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(summarize(event), dict[str, object])


# --- audio -----------------------------------------------------------------------------------

assert_type(PCM16, AudioFormat)
assert_type(AudioFormat.of("g711_ulaw"), AudioFormat)
assert_type(G711_ULAW.byte_count(20), int)
assert_type(G711_ULAW.to_pcm16(b""), bytes)
assert_type(resample(b"", 24_000, 8_000), bytes)
assert_type(Resampler(24_000, 8_000).feed(b""), bytes)
assert_type(speak("Hello", seed=1, audio_format=G711_ULAW) + silence(20), bytes)
assert_type(spoken_text(b""), str | None)
# audio is bytes
G711_ULAW.to_pcm16([0, 1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

queue = PlayoutQueue()
queue.add(Played("item", 0, b""))
assert_type(queue.take(480), tuple[bytes, list[Played]])

with WavWriter("call.wav", rate=8_000) as writer, WavReader(Path("call.wav")) as reader:
    writer.write(b"")
    assert_type(reader.pieces(20), Iterator[bytes])


async def talk_over_devices(session: RealtimeSession) -> None:
    loudspeaker = Loudspeaker()
    bus.subscribe(loudspeaker.play, RealtimeModelAudioEvent)
    assert_type(loudspeaker.waiting_ms, float)
    assert_type(loudspeaker.underruns, int)
    with Microphone() as microphone, loudspeaker:
        async for piece in microphone:
            assert_type(piece, bytes)
            await session.send_audio(piece)
        await loudspeaker.wait_played()


# --- journals, replay, figures ---------------------------------------------------------------


async def record(session: RealtimeSession) -> None:
    async with Recorder("call.journal", audio=False, fsync="group") as recorder:
        recording = recorder.attach(bus)
        assert_type(recording, Recording)
        with recording, recorder.attach(bus.scope("call-1")):
            recorder.sent({"type": "response.create"}, sender="call-1")
        assert_type(await recorder.flush(), int)
        assert_type(recorder.durable_seq, int)
    # no such policy
    Recorder("x.journal", fsync="often")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def read(journal: Journal) -> None:
    assert_type(open_journal("call.journal", on_damage=print), Journal)
    for anything in journal:
        assert_type(anything, Record)
    for frame in journal.read(FrameRecord, sender="call-1"):
        assert_type(frame, FrameRecord)
    for row in journal.rows():
        assert_type(row, Row)
    assert_type(journal.seek(seq=7), Journal)
    assert_type(journal.paths, list[Path])
    assert_type(repair_journal("call.journal"), list[TornTail])
    # the place is a keyword
    journal.seek(7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


async def follow(journal: Journal) -> None:
    async for each in journal.follow_async(CallRecord, sender="call-1"):
        assert_type(each, CallRecord)
    for dropped in journal.follow(DropRecord):
        assert_type(dropped, DropRecord)
    for event_record in journal.read(EventRecord):
        assert_type(event_record, EventRecord)


async def play(journal: Journal) -> None:
    assert_type(await replay("call.journal", bus, speed=2), ReplayReport)
    assert_type(await replay(journal, bus, strict=True, decode=True), ReplayReport)
    player = Player(journal, bus, is_paused=True)
    await player.step(3)
    assert_type(player.is_paused, bool)
    assert_type(await player.run(), ReplayReport)
    assert_type(is_journal(Path("call.journal")), bool)
    # a bus, and no scope of it
    await replay(journal, bus.scope("x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def look(journal: Journal, other: Journal) -> None:
    only = parse_filter("is:crash sender:call-1")
    assert_type(only, Filter)
    figures = measure(journal, played_by="shop.play")
    assert_type(figures, Figures)
    assert_type(parse_limit("turn_latency.p95<800ms"), Limit)
    assert_type(percentile([1.0, 2.0], 95), float)
    for view in views(journal):
        assert_type(view, RecordView)
        assert_type(view.error, str | None)
    assert_type(differences(journal, other, ids=True), Iterator[Difference])
    text, sound = io.StringIO(), io.BytesIO()
    for write in (write_chrome_trace, write_csv, write_jsonl, write_srt):
        write(journal, text)
    write_wav(journal, sound)
    write_html(journal, text, name="call")
    assert "csv" in FORMATS
    # sound isn't text
    write_wav(journal, text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Watching(EventObserver):
    """
    An observer of events, as users write them.
    """

    def event_published(self, event: Any, sender: Any, sequence: int, /) -> None: ...
    def event_replaced(self, event: Any, sender: Any, sequence: int, /) -> None: ...
    def event_unhandled(self, event: Any, sender: Any, sequence: int, /) -> None: ...
    def events_dropped(self, dropped: EventsDropped, /) -> None: ...
    def handler_started(self, call: HandlerCall, /) -> None: ...
    def handler_finished(self, call: HandlerCall, /) -> None: ...


with bus.observe(Watching()), SummaryObserver(bus).observing():
    bus.publish(event)
assert_type(SummaryObserver(bus).summary(), Summary)


def inspect(session_model: OpenAIRealtimeModel) -> None:
    with Inspector(bus, paths=["call.journal"], port=0) as inspector:
        inspector.listen(session_model, sender="call-1")
        assert_type(inspector.url, str)


# --- bridges ---------------------------------------------------------------------------------


async def forward(session: RealtimeSession) -> None:
    async with NatsBridge("nats://127.0.0.1:4222", stream="calls") as bridge:
        with bridge.forward(bus, RealtimeModelEvent, without=[RealtimeModelAudioEvent]) as sending:
            assert_type(sending, Forwarding)
            await sending.flush(timeout=5)
            assert_type(sending.stats, ForwardStats)
        bridge.forward(bus.scope("call-1"), RealtimeModelTurnEndedEvent, RealtimeModelAudioEvent)
        copying = bridge.forward_journal("call.journal", follow=False)
        assert_type(copying, JournalForwarding)
        await copying.wait_done()

        receiving = bridge.receive(bus, group="crm", on_failure=Retry(attempts=3, then="park"))
        assert_type(receiving, Receiving)
        await receiving.wait_ready()
        assert_type(receiving.stats, ReceiveStats)
        bridge.receive(bus, start=7, on_failure="skip")

        assert_type(bridge.commands(session), Commanding)
        await bridge.send("call-1", SendMessage("Hello"), timeout=1)
        await bridge.send("call-1", UpdateSettings({"voice": "marin"}))
        for command in (Interrupt(), HangUp(), ApproveToolCall("c"), RejectToolCall("c", "no")):
            await bridge.send("call-1", command)
        # text is no command
        await bridge.send("call-1", "hang up")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

        @bridge.tool
        async def get_order(number: int) -> str:
            return str(number)

        assert_type(await get_order(7), str)

        @bridge.tool(name="buy", timeout=3)
        def order(number: int) -> None: ...

        order(7)
        assert_type(bridge.remote("get_order", timeout=2), RemoteTool)
        session.tools.add(bridge.remote("get_order"))
        assert_type(await bridge.find_tools(), list[str])


@bus.on(RealtimeModelTranscriptDeltaEvent)
def circumstances(event: RealtimeModelTranscriptDeltaEvent, context: Context) -> None:
    assert_type(context.delivery, Delivery | None)
    assert_type(current_delivery(), Delivery | None)


def handle_failure(error: EventBusError) -> str | None:
    match error:
        case NoSuchCall(call=call):
            return assert_type(call, str)
        case CommandFailed() | JournalDamaged():
            return None
    return str(error)


# --- live sessions ---------------------------------------------------------------------------


async def remember(history: Sequence[RealtimeItem]) -> list[RealtimeItem | str]:
    assert_type(Memory(turns=3).of(None), Memory | None)
    return ["They spoke about an order.", *history[-10:]]


async def live(tool_of_mine: Tool) -> None:
    models: list[RealtimeModel] = [
        OpenAIRealtimeModel(reconnect=ReconnectPolicy(max_attempts=3), renewal=None),
        OpenAIRealtimeModel(renewal=RenewalPolicy(before=60)),
        GPTLiveModel(greeting="Hello!"),
    ]
    settings: RealtimeSessionModelSettings = {"voice": "marin", "instructions": "Be kind."}
    session = RealtimeSession(models=models, bus=bus, memory=Memory(turns=10), settings=settings)
    async with session:
        assert_type(session.tools, SessionTools)
        session.tools.add(tool_of_mine)
        await session.update_settings({"speed": 1.1})
        await session.send_message("Hello")
        restored = await bus.expect(RealtimeSessionRestored, timeout=60)
        assert_type(restored, RealtimeSessionRestored)
        await session.wait_closed()
    RealtimeSession(models[0], bus.scope("call-1"), memory=remember)
    await models[0].send_event(RealtimeModelSendUserInput("Hello"))
    await models[0].send_event(RealtimeModelSendRawMessage({"type": "response.create"}))
    # an input is one of the classes of eventbus.realtime.inputs
    await models[0].send_event("Hello")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # there is no such setting
    settings["loudness"] = 11  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportGeneralTypeIssues]


def remembered() -> None:
    history = History()
    assert_type(history.apply(event), HistoryChange | None)
    assert_type(history.snapshot(), HistorySnapshot)
    for item in history.items:
        if isinstance(item, UserMessageItem | AssistantMessageItem):
            assert_type(item.item_id, str)
    tracker = RealtimePlaybackTracker()
    tracker.on_play_ms("item", 0, 20.0)


async def proxied() -> None:
    async with RealtimeProxy("wss://api.openai.com", bus, port=0) as proxy:
        assert_type((proxy.url, proxy.port), tuple[str, int])


# --- the simulator, and callers --------------------------------------------------------------

assert_type(load_scenario("weather"), Scenario)
scenario = Scenario(turns=[Turn(say="Hello")], otherwise=Turn(say="Pardon?"))
given: Mapping[str, Any] = {"turns": []}
faults: Sequence[Fault] = parse_faults("stall=3s")


async def simulate() -> None:
    async with Simulator(scenario, speed=4, faults=faults, port=0) as service, Simulator(given):
        assert_type(service.url, str)
        async with Caller(TwilioLine(service.url)) as caller:
            assert_type(await caller.ask("Is anybody there?", within_ms=2_000), Reply)
            await caller.press("1#")
            await caller.wait_hung_up()
    # a scenario is a name, a path, a mapping or a Scenario
    Simulator(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def call(session: RealtimeSession, scope: Scope) -> None:
    async with Caller(SessionLine(session, scope), seed=3) as caller:
        reply = await caller.interrupt("Stop!", after_ms=300)
        assert_type(reply, Reply)


def consume(pieces: AsyncIterator[bytes]) -> asyncio.Task[None]:
    async def run() -> None:
        async for _ in pieces:
            pass

    return asyncio.create_task(run())
