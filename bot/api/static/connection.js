// A WebSocket that comes back after it was lost, and says in words how it fares.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
const MAX_BUFFERED = 256_000; // bytes: more than two seconds of audio that the line has not taken

export class Connection {
  /**
   * @param {string} path address on this server
   * @param {(state: "connecting"|"open"|"waiting"|"closed"|"refused", sentence: string) => void} onState
   * @param {(message: object) => void} onMessage is given each message, parsed
   */
  constructor(path, onState, onMessage) {
    this.path = path;
    this.onState = onState;
    this.onMessage = onMessage;
    this.pause = FIRST_PAUSE;
    this.wanted = false;
    this.socket = null;
    this.timer = 0;
  }

  open() {
    this.wanted = true;
    clearTimeout(this.timer);
    this.socket?.close();
    this.pause = FIRST_PAUSE;
    this.#connect();
  }

  /** Close, and stay closed. */
  close() {
    this.wanted = false;
    clearTimeout(this.timer);
    this.socket?.close();
    this.socket = null;
    this.onState("closed", "Not connected.");
  }

  /** Do not come back when the server closes. */
  finish() {
    this.wanted = false;
    clearTimeout(this.timer);
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** False where it is not sent: no connection, or a line that is too slow. */
  send(data) {
    if (!this.isOpen || this.socket.bufferedAmount > MAX_BUFFERED) return false;
    this.socket.send(data);
    return true;
  }

  #connect() {
    this.onState("connecting", "Connecting …");
    const address = new URL(this.path, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    this.socket = socket;
    let opened = false;
    socket.onopen = () => {
      if (this.socket !== socket) return;
      opened = true;
      this.onState("open", "Connected.");
    };
    socket.onmessage = (event) => {
      if (this.socket !== socket) return; // of a connection that was let go
      this.pause = FIRST_PAUSE;
      this.onMessage(JSON.parse(event.data));
    };
    socket.onclose = async () => {
      if (this.socket !== socket) return;
      this.socket = null;
      if (!this.wanted) {
        this.onState("closed", "Not connected.");
        return;
      }
      const why = opened ? { again: true, sentence: "The connection was lost." } : await this.#reason();
      if (this.wanted && this.socket === null) this.#retry(why);
    };
  }

  #retry({ again, sentence }) {
    if (!again) {
      this.wanted = false;
      this.onState("refused", sentence);
      return;
    }
    this.onState("waiting", `${sentence} Trying again in ${Math.ceil(this.pause / 1000)} s.`);
    this.timer = setTimeout(() => this.wanted && this.#connect(), this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
  }

  /** Browsers do not tell why a WebSocket was refused; the same address, asked plainly, does. */
  async #reason() {
    try {
      const answer = await fetch(this.path, { headers: { Accept: "application/json" } });
      if (answer.status === 401) return { again: false, sentence: "You are not signed in any more: open this page again and give the token." };
      if (answer.status === 403 || answer.status === 404) return { again: false, sentence: "This server does not allow that." };
      if (answer.status === 429 || answer.status >= 500) return { again: true, sentence: (await answer.json()).error };
    } catch {
      // no answer, or none of ours
    }
    return { again: true, sentence: "The server does not answer." };
  }
}
