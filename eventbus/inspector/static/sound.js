// Sound: parts of a call, one after the other.

/** @typedef {import("./source.js").Sound} Sound */

/** Plays a call from any time; a part that has ended is followed by the next one. */
export class Player {
  #part = /** @type {Sound | null} */ (null);
  #id = "";

  /**
   * @param {HTMLAudioElement} audio
   * @param {(id: string, ms: number) => Sound} find
   * @param {{onState: (isPlaying: boolean) => void, onTime: (ms: number) => void, onEnd: () => number, onProblem: (text: string) => void}} tell
   */
  constructor(audio, find, tell) {
    this.audio = audio;
    this.find = find;
    this.tell = tell;
    audio.addEventListener("play", () => this.#begun());
    audio.addEventListener("pause", () => tell.onState(false));
    audio.addEventListener("ended", () => {
      const next = this.#part?.to ?? Infinity;
      if (next < tell.onEnd()) void this.play(this.#id, next);
      else tell.onState(false);
    });
  }

  get isPlaying() {
    return !this.audio.paused;
  }

  /** @param {string} id @param {number} ms */
  async play(id, ms) {
    const { audio } = this;
    if (this.#part === null || this.#id !== id || ms < this.#part.from || ms >= this.#part.to) {
      this.#part = this.find(id, ms);
      this.#id = id;
      if (this.#part.address === "") return this.tell.onProblem("No audio was recorded in this call.");
      audio.src = this.#part.address;
      await new Promise((resolve) => {
        audio.onloadedmetadata = resolve;
        audio.onerror = resolve;
        audio.load();
      });
    }
    audio.currentTime = (ms - this.#part.from) / 1000;
    try {
      await audio.play();
    } catch (problem) {
      this.#part = null;
      this.tell.onProblem(`It can't be played: ${/** @type {Error} */ (problem).message}`);
    }
  }

  pause() {
    this.audio.pause();
  }

  #begun() {
    this.tell.onState(true);
    const step = () => {
      if (!this.isPlaying) return;
      this.tell.onTime((this.#part?.from ?? 0) + this.audio.currentTime * 1000);
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
}
