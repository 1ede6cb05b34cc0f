// A sealed request of spec/sealed.md, in a context of its own.

import { createHash } from "node:crypto";

import { Chacha20Poly1305 } from "@hpke/chacha20poly1305";
import { CipherSuite, HkdfSha256 } from "@hpke/core";
import { DhkemX25519HkdfSha256 } from "@hpke/dhkem-x25519";

const SUITE = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Chacha20Poly1305(),
});
const CHUNK = 16 * 1024;
const LEAST = 1024;
const FINAL = Buffer.from("final");

/** The body to send, and what opens its response: `{ body, enc, secret }`. */
export async function seal({ key, path, account, iatMs, ask }) {
  const header = Buffer.from([key.id, 0x00, 0x20, 0x00, 0x01, 0x00, 0x03]);
  const sender = await SUITE.createSenderContext({
    recipientPublicKey: await SUITE.kem.deserializePublicKey(key.publicKey),
    info: Buffer.concat([Buffer.from("echolia/1/sealed request\0"), header]),
  });
  const named = createHash("sha256").update("echolia/1/sealed-account").update(account);
  const plain = padded({ iat_ms: iatMs, path, account: named.digest("base64url"), ask });
  const enc = Buffer.from(sender.enc);
  const body = [header, enc];
  let at = 0;
  for (; plain.length - at > CHUNK; at += CHUNK) {
    const sealed = Buffer.from(await sender.seal(plain.subarray(at, at + CHUNK)));
    body.push(varint(sealed.length), sealed);
  }
  body.push(Buffer.from([0]), Buffer.from(await sender.seal(plain.subarray(at), FINAL)));
  const secret = Buffer.from(await sender.export(Buffer.from("echolia/1/sealed response"), 32));
  return { body: Buffer.concat(body), enc, secret };
}

function padded(object) {
  const json = Buffer.from(JSON.stringify(object));
  const length = Math.max(LEAST, padme(4 + json.length));
  const plain = Buffer.alloc(length);
  plain.writeUInt32BE(json.length);
  json.copy(plain, 4);
  return plain;
}

/** The least length, not under this one, whose low E - S bits are zero. */
function padme(length) {
  const exponent = Math.floor(Math.log2(length));
  const low = 2 ** (exponent - (Math.floor(Math.log2(exponent)) + 1));
  return Math.ceil(length / low) * low;
}

function varint(number) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number + 0x80000000);
  return bytes;
}
