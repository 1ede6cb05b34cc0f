// Asks a model once and prints what came as JSON, a line each:
//
//   echo '{"url": "http://…", "token": "…", "account": "<base64url>", "path": "/llm/stream", "ask": {…}}' | node ask.mjs
//
// `pinned` ({"identity", "next"} in hexadecimal) is what was pinned before; `key_id`, the id to name in place of the
// first try's, plays a device whose document is old. Lines are {"chunk"}, then one of {"final"} or {"error"}; {"pins"} before.

import { readFileSync } from "node:fs";

import { trusted } from "./keys.mjs";
import { Refused } from "./refused.mjs";
import { seal } from "./request.mjs";
import { opened } from "./response.mjs";

const SEALED = "application/vnd.echolia.sealed";

const say = (line) => console.log(JSON.stringify(line));

async function main({ url, token, account, path, ask, pinned = null, key_id: oldId }) {
  const device = { url, authorization: `Bearer ${token}`, account: Buffer.from(account, "base64url") };
  let keys = await fetched(device, pinned);
  say({ pins: keys.pins });
  const first = oldId === undefined ? keys.key : { ...keys.key, id: oldId };
  try {
    return await asked(device, path, ask, { ...keys, key: first });
  } catch (refused) {
    if (refused.code !== "sealed_key_unknown") throw refused;
    say({ again: refused.code });
    keys = await fetched(device, keys.pins);
    return asked(device, path, ask, keys);
  }
}

async function fetched({ url, authorization }, pinned) {
  const answer = await fetch(`${url}/llm/keys`, { headers: { authorization } });
  if (!answer.ok) throw await problem(answer);
  const serverMs = Date.parse(answer.headers.get("date"));
  return { ...trusted(await answer.json(), pinned, Date.now()), ahead: serverMs - Date.now() };
}

async function asked({ url, authorization, account }, path, ask, { key, ahead }) {
  const sealed = await seal({ key, path, account, iatMs: Date.now() + ahead, ask });
  const headers = { authorization, "content-type": SEALED };
  const answer = await fetch(url + path, { method: "POST", headers, body: sealed.body });
  if (answer.headers.get("content-type") !== SEALED) throw await problem(answer);
  for await (const { final, object } of opened(answer.body, sealed)) {
    say(final ? { final: object } : { chunk: object });
  }
}

async function problem(answer) {
  const { status } = answer;
  const said = answer.headers.get("content-type") === "application/problem+json" ? await answer.json() : {};
  return new Refused(said.code ?? "not_sealed", { status });
}

try {
  await main(JSON.parse(readFileSync(0, "utf8")));
} catch (refused) {
  if (!(refused instanceof Refused)) throw refused;
  say({ error: refused.code, ...refused.members });
  process.exitCode = 1;
}
