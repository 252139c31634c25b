// A voice turn and an interruption with @openai/agents-realtime, and a voice turn with OpenAI's own client over TLS.
// node agents_realtime.js WS_URL WSS_HOST SPEECH.pcm; prints one line of JSON.

const fs = require("fs");
const { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket } = require("@openai/agents-realtime");
const OpenAI = require("openai").default;
const { OpenAIRealtimeWS } = require("openai/realtime/ws");

const [url, secureHost, recording] = process.argv.slice(2);
const speech = Buffer.concat([fs.readFileSync(recording), Buffer.alloc(48000)]);
const FRAME_BYTES = 4800; // 100 ms

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function frames(send) {
  for (let at = 0; at < speech.length; at += FRAME_BYTES) {
    send(speech.subarray(at, at + FRAME_BYTES));
    await sleep(20);
  }
}

async function agents() {
  const agent = new RealtimeAgent({ name: "Assistant", instructions: "Answer briefly." });
  const transport = new OpenAIRealtimeWebSocket({ url, useInsecureApiKey: true });
  const config = { audio: { input: { turnDetection: { type: "server_vad" } } } }; // semantic_vad needs a model
  const session = new RealtimeSession(agent, { transport, model: "gpt-realtime", config });
  const found = { audioBytes: 0, interruptions: 0, errors: [], history: [] };
  let speaking = null;
  let done;
  const finished = new Promise((resolve) => (done = resolve));
  session.on("error", (error) => found.errors.push(JSON.stringify(error.error ?? error)));
  session.on("audio", (event) => {
    found.audioBytes += event.data.byteLength;
    speaking ??= frames((part) => session.sendAudio(new Uint8Array(part).buffer));
  });
  session.on("audio_interrupted", () => (found.interruptions += 1));
  let turns = 0; // the story, and the answer to the interruption
  session.transport.on("turn_done", () => (turns += 1) === 2 && setTimeout(done, 500));
  await session.connect({ apiKey: "none" });
  session.sendMessage("Tell me a story");
  await finished;
  await speaking;
  found.history = session.history;
  session.close();
  return found;
}

async function stock() {
  const client = new OpenAI({ baseURL: `https://${secureHost}/v1`, apiKey: "none" });
  const connection = await OpenAIRealtimeWS.create(client, { model: "gpt-realtime" });
  const events = [];
  const answered = new Promise((resolve, reject) => {
    connection.on("error", reject);
    connection.on("event", (event) => {
      events.push(event.type);
      if (event.type === "response.done") resolve({ events, status: event.response.status });
    });
  });
  await new Promise((resolve) => connection.socket.on("open", resolve));
  connection.send({ type: "session.update", session: { type: "realtime" } });
  await frames((part) => connection.send({ type: "input_audio_buffer.append", audio: part.toString("base64") }));
  const found = await answered;
  connection.close();
  return found;
}

(async () => {
  console.log(JSON.stringify({ agents: await agents(), stock: await stock() }));
  process.exit(0);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
