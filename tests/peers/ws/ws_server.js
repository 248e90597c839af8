// A WebSocket server made of npm's `ws`: an echo, and paths that do something else, the same as those of
// `websockets_server.py`.
//
//     node ws_server.js PORT [CERTIFICATE]
//
// Its output tells for each connection how it was closed: `closed CODE REASON`.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const { WebSocketServer } = require("ws");

const MAX_SIZE = 64 << 20;
const SUBPROTOCOLS = ["lab.v2", "lab.v1"];
const PINGS = 10;
const STREAM = 5000;
const PAGE = "<!doctype html><meta charset=utf-8><title>lab</title>\n";
const [port, certificate] = process.argv.slice(2);

function pings(peer) {
  let pongs = 0;
  peer.on("pong", (data) => {
    if (data.toString() !== `ping ${pongs}`) throw new Error(`pong ${pongs} is ${data}`);
    pongs += 1;
    if (pongs < PINGS) peer.ping(`ping ${pongs}`);
    else peer.send(`${PINGS} pongs`);
  });
  peer.ping("ping 0");
}

function stream(peer) {
  for (let number = 0; number < STREAM; number += 1) peer.send(`number ${number}`);
}

function about(peer, request) {
  const { origin = null, cookie = null, host = null } = request.headers;
  peer.send(JSON.stringify({ target: request.url, origin, cookie, host }));
}

function close(peer, request) {
  const [, , code, reason = ""] = request.url.split("/");
  peer.close(Number(code), decodeURIComponent(reason));
}

function drop(peer) {
  peer.terminate();
}

const PATHS = { "/pings": pings, "/stream": stream, "/about": about, "/close/": close, "/drop": drop };

function page(request, response) {
  const found = request.url === "/page";
  response.writeHead(found ? 200 : 426, { "Content-Type": "text/html; charset=utf-8" });
  response.end(found ? PAGE : "a WebSocket server");
}

const pem = certificate && fs.readFileSync(certificate);
const server = pem ? https.createServer({ cert: pem, key: pem }, page) : http.createServer(page);
const sockets = new WebSocketServer({
  server,
  perMessageDeflate: true,
  maxPayload: MAX_SIZE,
  handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) || false,
});
sockets.on("connection", (peer, request) => {
  peer.on("message", (data, binary) => peer.send(data, { binary }));
  peer.on("error", () => {});
  peer.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
  const start = Object.keys(PATHS).find((path) => request.url.startsWith(path));
  if (start) PATHS[start](peer, request);
});
server.listen({ port: Number(port), backlog: 1024 });
