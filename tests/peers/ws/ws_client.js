// Plays one row with npm's `ws`; prints the outcome as JSON.
//
//     node ws_client.js ROW BASE SETTINGS [AUTHORITY]
"use strict";

const fs = require("node:fs");
const { WebSocket } = require("ws");

const [row, base, settings, authority] = process.argv.slice(2);
const ca = authority && fs.readFileSync(authority);
globalThis.WebSocket = class extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { ca, maxPayload: 64 << 20 });
  }
};
delete globalThis.location;
require("./rows.js");
play(row, base, JSON.parse(settings)).then((outcome) => {
  console.log(JSON.stringify(outcome));
  process.exit(0);
});
