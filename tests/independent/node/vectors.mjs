// What this client says of the vectors in the folder that is named: a line of JSON for each.
//
//   node vectors.mjs spec/vectors

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { trusted } from "./keys.mjs";
import { Refused } from "./refused.mjs";
import { opened } from "./response.mjs";

const hex = (text) => Buffer.from(text, "hex");

async function response({ enc, exported, response: whole }) {
  const found = { chunks: [] };
  try {
    for await (const { final, object } of opened(bytewise(hex(whole)), { enc: hex(enc), secret: hex(exported) })) {
      if (final) found.final = object;
      else found.chunks.push(object);
    }
  } catch (refused) {
    return { ...found, error: coded(refused) };
  }
  return found;
}

async function* bytewise(bytes) {
  for (const byte of bytes) yield Buffer.from([byte]);
}

function keys({ pins, now_ms: nowMs, document, signature }) {
  const told = { document: hex(document).toString("base64url"), signature: hex(signature).toString("base64url") };
  try {
    const found = trusted(told, pins, nowMs);
    return { pins: found.pins, keys: found.keys.map(asWritten) };
  } catch (refused) {
    return { error: coded(refused) };
  }
}

function asWritten({ id, publicKey, fromMs, untilMs }) {
  return { id, public: publicKey.toString("hex"), from_ms: fromMs, until_ms: untilMs };
}

function coded(refused) {
  if (!(refused instanceof Refused)) throw refused;
  return refused.code;
}

for (const [topic, found] of [["sealed-response", response], ["sealed-keys", keys]]) {
  for (const name of readdirSync(join(process.argv[2], topic))) {
    const { input } = JSON.parse(readFileSync(join(process.argv[2], topic, name), "utf8"));
    // The draft's own example has another suite, and nothing in it is framed.
    if (!input.suite) console.log(JSON.stringify({ vector: `${topic}/${name}`, found: await found(input) }));
  }
}
