// npm's `socks`: `associate PROXY-HOST PROXY-PORT HOST PORT` sends a datagram that must come back;
// `bind PROXY-HOST PROXY-PORT HOST PORT` prints where the proxy listens, then sends back what comes from there.
"use strict";
const dgram = require("dgram");
const { SocksClient } = require("socks");

const [what, proxyHost, proxyPort, host, port] = process.argv.slice(2);
const client = new SocksClient({
  proxy: { host: proxyHost, port: Number(proxyPort), type: 5 },
  command: what,
  timeout: 6000,
  // Of an association, the address that the client sends from: it does not know that yet.
  destination: what === "bind" ? { host, port: Number(port) } : { host: "0.0.0.0", port: 0 },
});

function fail(why) {
  console.error(`failed: ${why}`);
  process.exit(1);
}

setTimeout(() => fail("nothing came in time"), 8000).unref();
client.on("error", (error) => fail(error.message));
client.on("established", (info) => {
  if (what === "bind") {
    console.log(`joined: ${info.remoteHost.host}:${info.remoteHost.port}`);
    info.socket.pipe(info.socket);
    info.socket.on("end", () => process.exit(0));
    info.socket.resume();
    return;
  }
  const message = Buffer.alloc(1200, "npm");
  const socket = dgram.createSocket("udp4");
  socket.on("message", (data) => {
    const frame = SocksClient.parseUDPFrame(data);
    if (Buffer.compare(frame.data, message) !== 0) fail("other bytes came back");
    console.log(`seen: ${frame.data.length} bytes from ${frame.remoteHost.host}:${frame.remoteHost.port}`);
    process.exit(0);
  });
  socket.on("error", (error) => fail(error.message));
  const relay = info.remoteHost;
  const at = relay.host === "0.0.0.0" ? proxyHost : relay.host;
  const frame = SocksClient.createUDPFrame({ remoteHost: { host, port: Number(port) }, data: message });
  socket.send(frame, relay.port, at);
});
client.on("bound", (info) => console.log(`bound: ${info.remoteHost.host}:${info.remoteHost.port}`));
client.connect();
