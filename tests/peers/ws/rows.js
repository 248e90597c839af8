// The rows of the table, as a page in a browser or a script in Node plays them: `await play(row, base, settings)`.
// A row gives back "" where all was well, else what was not. `observe` gives back what happened.
"use strict";

const TEXT = "Grüße, мир, 世界, 🌍";

/** One WebSocket; what comes waits in a queue. */
class Peer {
  constructor(address, protocols = []) {
    this.queue = [];
    this.waiting = [];
    this.socket = new WebSocket(address, protocols);
    this.socket.binaryType = "arraybuffer";
    this.closed = new Promise((resolve) => {
      this.socket.onclose = (event) => {
        resolve(`${event.code} ${event.reason}`.trim());
        for (const { reject } of this.waiting) reject(new Error(`closed with ${event.code} ${event.reason}`));
      };
    });
    this.socket.onmessage = (event) => {
      const taker = this.waiting.shift();
      if (taker) taker.resolve(event.data);
      else this.queue.push(event.data);
    };
    this.socket.onerror = () => {};
    this.opened = new Promise((resolve, reject) => {
      this.socket.onopen = () => resolve(this);
      this.closed.then((how) => reject(new Error(`refused: ${how}`)));
    });
    this.opened.catch(() => {});
  }

  next() {
    if (this.queue.length) return Promise.resolve(this.queue.shift());
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  async echo(message) {
    this.socket.send(message);
    return this.next();
  }

  async end(code = 1000, reason = "") {
    this.socket.close(code, reason);
    const wanted = `${code} ${reason}`.trim();
    const how = await this.closed;
    return how === wanted ? "" : `closed with ${how} instead of ${wanted}`;
  }
}

function pseudorandom(size) {
  const bytes = new Uint8Array(size);
  const words = new Uint32Array(bytes.buffer, 0, size >> 2);
  let state = 2463534242;
  for (let index = 0; index < words.length; index += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return bytes;
}

async function digest(bytes) {
  // Browsers have no digest in a page that came without TLS; then all bytes are compared instead.
  if (!globalThis.crypto?.subtle) return bytes;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

async function same(sent, got) {
  if (!(got instanceof ArrayBuffer) || got.byteLength !== sent.length) return `got ${got.byteLength ?? typeof got}`;
  const [left, right] = [await digest(sent), await digest(new Uint8Array(got))];
  return left.every((byte, index) => byte === right[index]) ? "" : "the bytes differ";
}

async function binary(base, size) {
  const peer = await new Peer(`${base}/echo`).opened;
  const bytes = pseudorandom(size);
  return (await same(bytes, await peer.echo(bytes))) || peer.end();
}

async function closing(base, code, reason) {
  const peer = await new Peer(`${base}/echo`).opened;
  await peer.echo(TEXT);
  return peer.end(code, reason);
}

async function closedByServer(base, code, reason) {
  const peer = await new Peer(`${base}/close/${code}/${encodeURIComponent(reason)}`).opened;
  const how = await peer.closed;
  return how === `${code} ${reason}`.trim() ? "" : `closed with ${how}`;
}

async function sockets(base, count) {
  const peers = await Promise.all(Array.from({ length: count }, () => new Peer(`${base}/echo`).opened));
  const answers = await Promise.all(peers.map((peer, number) => peer.echo(`socket ${number}`)));
  const wrong = answers.filter((answer, number) => answer !== `socket ${number}`).length;
  if (wrong) return `${wrong} of ${count} echoes are wrong`;
  return (await Promise.all(peers.map((peer) => peer.end()))).find((problem) => problem) ?? "";
}

const rows = {
  async text(base) {
    const peer = await new Peer(`${base}/echo`).opened;
    for (const text of ["", "x", TEXT, TEXT.repeat(5000)]) {
      if ((await peer.echo(text)) !== text) return `the echo of ${text.length} characters differs`;
    }
    return peer.end();
  },
  async binary(base) {
    for (const size of [0, 1, 125, 126, 65535, 65536, 300000]) {
      const problem = await binary(base, size);
      if (problem) return `${size} bytes: ${problem}`;
    }
    return "";
  },
  "16 MiB": (base) => binary(base, 16 << 20),
  async compressed(base) {
    const peer = await new Peer(`${base}/echo`).opened;
    if (!peer.socket.extensions.startsWith("permessage-deflate")) return `extensions: '${peer.socket.extensions}'`;
    const text = "Again and again. ".repeat(100000);
    for (let round = 0; round < 3; round += 1) if ((await peer.echo(text)) !== text) return "the echo differs";
    return peer.end();
  },
  async "subprotocol agreed"(base) {
    const peer = await new Peer(`${base}/echo`, ["other", "lab.v1"]).opened;
    return peer.socket.protocol === "lab.v1" ? peer.end() : `protocol '${peer.socket.protocol}'`;
  },
  async "subprotocol refused"(base) {
    const peer = new Peer(`${base}/echo`, ["other", "another"]);
    const how = await peer.opened.then(() => `opened with '${peer.socket.protocol}'`, () => "");
    if (how) peer.socket.close();
    return how;
  },
  async "server pings"(base) {
    const peer = await new Peer(`${base}/pings`).opened;
    const got = await peer.next();
    return got === "10 pongs" ? peer.end() : got;
  },
  "close 1000": (base) => closing(base, 1000, ""),
  "close 3000": (base) => closing(base, 3000, "three"),
  "close 4999": (base) => closing(base, 4999, "gründlich"),
  async "server closes"(base) {
    for (const [code, reason] of [[1000, ""], [1001, "gone"], [1011, "oh"], [3000, "a"], [4999, "gründlich"]]) {
      const problem = await closedByServer(base, code, reason);
      if (problem) return `${code}: ${problem}`;
    }
    return "";
  },
  async "server drops"(base) {
    const how = await new Peer(`${base}/drop`).closed;
    return how === "1006" ? "" : `closed with ${how}`;
  },
  async target(base) {
    const path = "/about/%20a;b=c/%C3%BC?q=1&r=%2F+%3F&empty=";
    const peer = await new Peer(base + path).opened;
    const told = JSON.parse(await peer.next());
    if (told.target !== path) return `the server was asked for ${told.target}`;
    const origin = globalThis.location?.origin ?? null;
    // A page of the same host stays one of the same host, whatever a gateway calls that host.
    const same = origin && origin.replace(/^https?:/, "") === new URL(base).href.replace(/^wss?:/, "").replace(/\/$/, "");
    const meant = same && told.host ? told.origin.replace(/\/\/.*/, `//${told.host}`) : origin;
    return told.origin === meant ? peer.end() : `the server was told origin ${told.origin} instead of ${meant}`;
  },
  async "many up and down"(base, { messages }) {
    const peer = await new Peer(`${base}/echo`).opened;
    for (let number = 0; number < messages; number += 1) peer.socket.send(`message ${number}`);
    for (let number = 0; number < messages; number += 1) {
      const got = await peer.next();
      if (got !== `message ${number}`) return `echo ${number} is ${got}`;
    }
    return peer.end();
  },
  async "many down"(base) {
    const peer = await new Peer(`${base}/stream`).opened;
    for (let number = 0; number < 5000; number += 1) {
      const got = await peer.next();
      if (got !== `number ${number}`) return `message ${number} is ${got}`;
    }
    return peer.end();
  },
  sockets: (base, settings) => sockets(base, settings.sockets),
  async observe(base, { path, protocols }) {
    const peer = new Peer(base + path, protocols);
    const seen = await peer.opened.then(() => [`opened${peer.socket.protocol && ` ${peer.socket.protocol}`}`], () => []);
    if (!seen.length) return "refused";
    const how = await Promise.race([peer.closed, new Promise((resolve) => setTimeout(resolve, 2000, "open"))]);
    if (how === "open") peer.socket.close();
    return [...seen, ...peer.queue.map((message) => `message ${message}`), how].join(" | ");
  },
};

async function play(row, base, settings) {
  try {
    return await rows[row](base, settings);
  } catch (error) {
    return `${error.message}`;
  }
}
globalThis.play = play;
