// Sends requests through OpenAI's Node client and prints the results as one line of JSON. Audio is written to files.
// node clients.js BASE_URL RECORDING FOLDER

const fs = require("fs");
const path = require("path");
const OpenAI = require("openai").default;

const [base, recording, folder] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 });
const write = (name, data) => fs.writeFileSync(path.join(folder, name), data);

const question = [{ role: "user", content: "What is the capital of France?" }];
const data = fs.readFileSync(recording).toString("base64");
const spoken = [{ role: "user", content: [{ type: "input_audio", input_audio: { data, format: "wav" } }] }];
const voice = (format) => ({ modalities: ["text", "audio"], audio: { voice: "alloy", format } });

const create = (messages, more) => client.chat.completions.create({ model: "parley", messages, ...more });

async function text() {
  const whole = await create(question);
  let streamed = "";
  let usage = null;
  for await (const chunk of await create(question, { stream: true, stream_options: { include_usage: true } })) {
    streamed += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  return { whole: whole.choices[0].message.content, streamed, tokens: usage.total_tokens };
}

async function audio() {
  const { audio: whole } = (await create(spoken, voice("mp3"))).choices[0].message;
  write("whole.mp3", Buffer.from(whole.data, "base64"));
  let transcript = "";
  const pcm = [];
  for await (const chunk of await create(spoken, { ...voice("pcm16"), stream: true })) {
    const delta = chunk.choices[0]?.delta.audio ?? {};
    transcript += delta.transcript ?? "";
    if (delta.data) pcm.push(Buffer.from(delta.data, "base64"));
  }
  write("streamed.pcm", Buffer.concat(pcm));
  const messages = [...spoken, { role: "assistant", audio: { id: whole.id } }, ...question];
  return { whole: whole.transcript, streamed: transcript, again: (await create(messages)).choices[0].message.content };
}

async function speech() {
  const whole = await client.audio.speech.create({
    model: "parley", voice: "alloy", input: "The capital of France is Paris.", response_format: "flac",
  });
  write("speech.flac", Buffer.from(await whole.arrayBuffer()));
  const file = fs.createReadStream(recording);
  return { transcript: (await client.audio.transcriptions.create({ model: "parley", file })).text };
}

async function refused() {
  try {
    await create(question, { n: 2 });
  } catch (error) {
    return { kind: error.constructor.name, param: error.param, status: error.status };
  }
}

(async () => {
  const results = { text: await text(), audio: await audio(), speech: await speech(), refused: await refused() };
  console.log(JSON.stringify(results));
})();
