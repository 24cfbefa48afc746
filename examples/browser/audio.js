// The audio side of the page, in the browser's audio thread.

// Sends the microphone as pieces of 16-bit PCM, 20 ms each.
class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Int16Array(sampleRate / 50);
    this.filled = 0;
  }

  process([[channel]]) {
    for (const value of channel ?? []) {
      this.piece[this.filled++] = Math.max(-1, Math.min(1, value)) * 32767;
      if (this.filled === this.piece.length) {
        this.port.postMessage(this.piece.buffer, [this.piece.buffer]);
        this.piece = new Int16Array(sampleRate / 50);
        this.filled = 0;
      }
    }
    return true;
  }
}

// Plays pieces in order, reports what was played, and forgets all of them when it is told to.
class Loudspeaker extends AudioWorkletProcessor {
  constructor() {
    super();
    this.waiting = [];
    this.offset = 0;
    this.played = null; // samples of one item that were played and not reported
    this.port.onmessage = ({ data }) => {
      if (data === "clear") {
        this.waiting = [];
        this.offset = 0;
      } else {
        this.waiting.push(data);
      }
    };
  }

  report() {
    if (this.played) {
      const { item, index, samples } = this.played;
      this.port.postMessage({ item, index, ms: (samples * 1000) / sampleRate });
      this.played = null;
    }
  }

  count({ item, index }) {
    if (this.played?.item !== item || this.played?.index !== index) {
      this.report();
      this.played = { item, index, samples: 0 };
    }
    if (++this.played.samples >= sampleRate / 20) this.report();
  }

  process(_inputs, [[channel]]) {
    for (let place = 0; place < channel.length && this.waiting.length; place++) {
      const piece = this.waiting[0];
      channel[place] = piece.samples[this.offset++] / 32768;
      this.count(piece);
      if (this.offset >= piece.samples.length) {
        this.waiting.shift();
        this.offset = 0;
      }
    }
    if (!this.waiting.length) this.report();
    return true;
  }
}

registerProcessor("microphone", Microphone);
registerProcessor("loudspeaker", Loudspeaker);
