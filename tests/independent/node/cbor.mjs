// Deterministic CBOR of spec/README.md, as far as a key document has it: numbers, bytes, texts, lists, maps.

import { Refused } from "./refused.mjs";

const refuse = () => {
  throw new Refused("sealed_keys_invalid");
};

/** The value of these bytes; a map is a `Map`, a number a Number. Refuses what is not in the shortest form. */
export function decode(bytes) {
  const reader = { bytes, at: 0 };
  const value = item(reader, 0);
  return reader.at === bytes.length ? value : refuse();
}

function item(reader, depth) {
  if (depth > 32) refuse();
  const head = take(reader, 1)[0];
  const number = argument(reader, head & 31);
  switch (head >> 5) {
    case 0:
      return number;
    case 2:
      return Buffer.from(take(reader, number));
    case 3:
      return text(take(reader, number));
    case 4:
      return list(reader, number, depth);
    case 5:
      return map(reader, number, depth);
    default:
      return refuse();
  }
}

function argument(reader, short) {
  if (short < 24) return short;
  const size = { 24: 1, 25: 2, 26: 4, 27: 8 }[short] ?? refuse();
  const number = take(reader, size).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  const least = size === 1 ? 24n : 1n << BigInt(4 * size);
  if (number < least || number > BigInt(Number.MAX_SAFE_INTEGER)) refuse();
  return Number(number);
}

function list(reader, length, depth) {
  const items = [];
  for (let n = 0; n < length; n += 1) items.push(item(reader, depth + 1));
  return items;
}

function map(reader, length, depth) {
  const entries = new Map();
  let before = null;
  for (let n = 0; n < length; n += 1) {
    const start = reader.at;
    const key = item(reader, depth + 1);
    const encoded = reader.bytes.subarray(start, reader.at);
    if (typeof key !== "string" || (before && Buffer.compare(before, encoded) >= 0)) refuse();
    before = encoded;
    entries.set(key, item(reader, depth + 1));
  }
  return entries;
}

function take(reader, length) {
  if (length > reader.bytes.length - reader.at) refuse();
  reader.at += length;
  return reader.bytes.subarray(reader.at - length, reader.at);
}

function text(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse();
  }
}
