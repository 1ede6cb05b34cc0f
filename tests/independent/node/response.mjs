// A sealed response of spec/sealed.md, opened chunk by chunk as its bytes come.

import { createDecipheriv, createHmac } from "node:crypto";

import { Refused } from "./refused.mjs";

const TAG = 16;
const STEP = 64;
const MOST = 8 * 1024 * 1024;
const FINAL = Buffer.from("final");

/** The objects of a response's chunks, each with whether it is the final one. `pieces` are bytes, cut anywhere. */
export async function* opened(pieces, { enc, secret }) {
  const reader = new Reader(pieces);
  const keys = keysOf(enc, await reader.exactly(32), secret);
  for (let n = 0; ; n += 1) {
    const length = await varint(reader);
    const final = length === 0;
    if (!final && (length < TAG || length > MOST)) throw new Refused("sealed_invalid");
    const sealed = final ? await reader.rest() : await reader.exactly(length);
    if (sealed.length < TAG) throw new Refused("sealed_truncated");
    yield { final, object: objectOf(open(keys, n, sealed, final), final) };
    if (final) return;
  }
}

function keysOf(enc, nonce, secret) {
  const prk = hmac(Buffer.concat([enc, nonce]), secret);
  return { key: expand(prk, "key", 32), base: expand(prk, "nonce", 12) };
}

/** HKDF-Expand for at most one block. */
function expand(prk, label, length) {
  return hmac(prk, Buffer.concat([Buffer.from(label), Buffer.from([1])])).subarray(0, length);
}

function hmac(key, message) {
  return createHmac("sha256", key).update(message).digest();
}

function open({ key, base }, n, sealed, final) {
  const nonce = Buffer.from(base);
  nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ n) >>> 0, 8);
  const cipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG });
  const body = sealed.subarray(0, -TAG);
  cipher.setAAD(final ? FINAL : Buffer.alloc(0), { plaintextLength: body.length });
  cipher.setAuthTag(sealed.subarray(-TAG));
  try {
    return Buffer.concat([cipher.update(body), cipher.final()]);
  } catch {
    throw new Refused("sealed_invalid");
  }
}

function objectOf(plain, final) {
  const length = plain.length >= 4 ? plain.readUInt32BE(0) : Infinity;
  const end = 4 + length;
  const formed = plain.length === Math.ceil(end / STEP) * STEP && plain.subarray(end).every((byte) => byte === 0);
  if (!formed) throw new Refused("sealed_invalid");
  const object = parsed(plain.subarray(4, end));
  const isObject = typeof object === "object" && object !== null && !Array.isArray(object);
  if (!isObject || (final && !Number.isInteger(object.status))) throw new Refused("sealed_invalid");
  return object;
}

function parsed(bytes) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    throw new Refused("sealed_invalid");
  }
}

async function varint(reader) {
  const first = (await reader.exactly(1))[0];
  const rest = await reader.exactly(2 ** (first >> 6) - 1);
  return rest.reduce((number, byte) => number * 256 + byte, first & 63);
}

/** Bytes of pieces, in the lengths that are asked for. A response that ends, or breaks off, was cut short. */
class Reader {
  constructor(pieces) {
    this.pieces = pieces[Symbol.asyncIterator]();
    this.held = Buffer.alloc(0);
  }

  async exactly(length) {
    while (this.held.length < length) {
      if (!(await this.more())) throw new Refused("sealed_truncated");
    }
    const taken = this.held.subarray(0, length);
    this.held = this.held.subarray(length);
    return taken;
  }

  async rest() {
    while (await this.more()) {
      if (this.held.length > MOST) throw new Refused("sealed_invalid");
    }
    return this.held;
  }

  async more() {
    try {
      const { done, value } = await this.pieces.next();
      if (!done) this.held = Buffer.concat([this.held, value]);
      return !done;
    } catch {
      throw new Refused("sealed_truncated");
    }
  }
}
