// The microphone as messages of 100 ms PCM16 mono at the context's sample rate; the server resamples.

const MAX_RATE = 48_000; // Hz that the server takes
const START = 4_000; // ms that the browser may take to start processing sound

const PROBLEMS = {
  NotAllowedError: "The browser does not let this page use the microphone. Allow it beside the address of the page, then press Start again.",
  NotFoundError: "No microphone was found. Connect one, then press Start again.",
  NotReadableError: "The microphone cannot be opened: another program may be using it.",
  NoSound: "The browser does not process sound. Some do so only with speakers or headphones connected.",
  NotSupportedError: "This browser cannot use the microphone at its sample rate. Set it to 48 kHz, or try another browser.",
};

/** A problem as a sentence for people. */
export function problem(error) {
  if (!window.isSecureContext) {
    const here = `http://localhost${location.port && `:${location.port}`}${location.pathname}`;
    return `Browsers give the microphone only to pages that came over https, or from the same machine (${here}).`;
  }
  return PROBLEMS[error.name] ?? `The microphone cannot be used (${error.name}).`;
}

/** Firefox waits for ever on a machine without a sound output. */
async function started(context) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new DOMException("", "NoSound")), START));
  await Promise.race([context.resume(), late]);
}

export class Microphone {
  /**
   * Opens it; the browser may ask the person first.
   * @param {(piece: {pcm: ArrayBuffer, level: number, peak: number}) => void} onPiece
   * @param {() => void} onLost is called when the microphone goes away
   */
  static async open(onPiece, onLost) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, noiseSuppression: false } });
    let context = new AudioContext();
    try {
      if (context.sampleRate > MAX_RATE) {
        await context.close();
        context = new AudioContext({ sampleRate: MAX_RATE });
      }
      await context.audioWorklet.addModule("/static/worklet.js");
      const source = context.createMediaStreamSource(stream);
      const collector = new AudioWorkletNode(context, "collector", { numberOfOutputs: 0 });
      collector.port.onmessage = (event) => onPiece(event.data);
      source.connect(collector);
      stream.getAudioTracks()[0].onended = onLost;
      await started(context);
      if (stream.getAudioTracks()[0].readyState === "ended") throw new DOMException("", "NotReadableError");
      return new Microphone(stream, context, source);
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      await context.close();
      throw error;
    }
  }

  constructor(stream, context, source) {
    this.stream = stream;
    this.context = context;
    this.source = source; // kept: a node that nobody holds may be collected
  }

  get sampleRate() {
    return this.context.sampleRate;
  }

  async close() {
    for (const track of this.stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    await this.context.close();
  }
}
