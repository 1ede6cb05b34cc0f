// The key document of spec/sealed.md: its signature, its form, whether it is to be trusted.

import { createPublicKey, diffieHellman, generateKeyPairSync, verify } from "node:crypto";

import { decode } from "./cbor.mjs";
import { Refused } from "./refused.mjs";

const LABEL = Buffer.from("echolia/1/sealed-keys");
const ED25519_SPKI = Buffer.from("302a300506032b6570032100", "hex");
const X25519_SPKI = Buffer.from("302a300506032b656e032100", "hex");
const ANY = generateKeyPairSync("x25519").privateKey;
const P = (1n << 255n) - 19n;
const OF_ORDER_8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;
const OF_SMALL_ORDER = new Set([0n, 1n, OF_ORDER_8, P - OF_ORDER_8, P - 1n]);
const DAY_MS = 24 * 60 * 60 * 1000;

/** The key to seal to, and the pins from now on. `pinned` is null before the first document. */
export function trusted({ document, signature }, pinned, nowMs) {
  const bytes = unbase64url(document);
  const found = formOf(decode(bytes));
  if (!holds(found.identity, Buffer.concat([LABEL, bytes]), unbase64url(signature))) {
    throw new Refused("sealed_keys_invalid");
  }
  const pins = pinsAfter(found, pinned);
  if (!found.keys.some((key) => key.untilMs > nowMs - DAY_MS)) throw new Refused("sealed_keys_stale");
  return { key: found.keys[0], keys: found.keys, pins };
}

function pinsAfter(found, pinned) {
  const pins = { identity: found.identity.toString("hex"), next: found.next.toString("hex") };
  const same = pinned?.identity === pins.identity && pinned.next === pins.next;
  if (!pinned || same || (pinned.next === pins.identity && pinned.identity !== pins.identity)) return pins;
  throw new Refused("sealed_keys_untrusted");
}

function formOf(map) {
  const [v, identity, next, keys] = members(map, ["v", "identity", "next", "keys"]);
  if (v !== 1) throw new Refused(Number.isInteger(v) ? "unsupported_version" : "sealed_keys_invalid");
  const formed = Array.isArray(keys) && keys.length >= 1 && keys.length <= 4;
  if (!formed || !isKey(identity) || !isKey(next) || identity.equals(next)) throw new Refused("sealed_keys_invalid");
  const found = keys.map(keyOf);
  if (new Set(found.map((key) => key.id)).size !== found.length) throw new Refused("sealed_keys_invalid");
  return { identity, next, keys: found };
}

function keyOf(map) {
  const [id, publicKey, fromMs, untilMs] = members(map, ["id", "public", "from_ms", "until_ms"]);
  const formed = isKey(publicKey) && [id, fromMs, untilMs].every(Number.isInteger) && id < 256;
  if (!formed || fromMs >= untilMs || isOfSmallOrder(publicKey)) throw new Refused("sealed_keys_invalid");
  return { id, publicKey, fromMs, untilMs };
}

function members(map, names) {
  const formed = map instanceof Map && map.size === names.length && names.every((name) => map.has(name));
  if (!formed) throw new Refused("sealed_keys_invalid");
  return names.map((name) => map.get(name));
}

function isKey(bytes) {
  return Buffer.isBuffer(bytes) && bytes.length === 32;
}

/** Whether every secret makes zero of it: OpenSSL refuses to agree on that. */
function isOfSmallOrder(publicKey) {
  const theirs = createPublicKey({ key: Buffer.concat([X25519_SPKI, publicKey]), format: "der", type: "spki" });
  try {
    diffieHellman({ privateKey: ANY, publicKey: theirs });
    return false;
  } catch {
    return true;
  }
}

/** Whether a key or an `R` may be one: spec/README.md takes away what OpenSSL leaves free. */
function isPoint(encoded) {
  const y = BigInt(`0x${Buffer.from(encoded).reverse().toString("hex")}`) & ((1n << 255n) - 1n);
  return y < P && !OF_SMALL_ORDER.has(y);
}

function holds(identity, message, signature) {
  if (signature.length !== 64 || !isPoint(identity) || !isPoint(signature.subarray(0, 32))) return false;
  try {
    const key = createPublicKey({
      key: Buffer.concat([ED25519_SPKI, identity]),
      format: "der",
      type: "spki",
    });
    return verify(null, message, key, signature);
  } catch {
    return false;
  }
}

function unbase64url(text) {
  const bytes = Buffer.from(typeof text === "string" ? text : "", "base64url");
  if (bytes.toString("base64url") !== text) throw new Refused("sealed_keys_invalid");
  return bytes;
}
