// On the audio thread: collects what the microphone gives into messages of PCM16 mono, with their loudness.

const SECONDS = 0.1;

class Collector extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.round(sampleRate * SECONDS);
    this.samples = new Int16Array(this.size);
    this.filled = 0;
    this.squares = 0;
    this.peak = 0;
  }

  process(inputs) {
    const channels = inputs[0];
    for (let at = 0; at < (channels[0]?.length ?? 0); at++) {
      let sample = 0;
      for (const channel of channels) sample += channel[at] / channels.length;
      this.#take(Math.max(-1, Math.min(1, sample)));
    }
    return true;
  }

  #take(sample) {
    this.samples[this.filled++] = Math.round(sample * 32767);
    this.squares += sample * sample;
    this.peak = Math.max(this.peak, Math.abs(sample));
    if (this.filled < this.size) return;
    const level = Math.sqrt(this.squares / this.size);
    this.port.postMessage({ pcm: this.samples.buffer, level, peak: this.peak }, [this.samples.buffer]);
    this.samples = new Int16Array(this.size);
    this.filled = this.squares = this.peak = 0;
  }
}

registerProcessor("collector", Collector);
