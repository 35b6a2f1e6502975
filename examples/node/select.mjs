// Picks language models with an artifact, by docs/artifact.md alone:
//   npm install --ignore-scripts && node select.mjs ARTIFACT < queries.jsonl
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";

const FORMAT_VERSION = 2;
// What version 1 leaves out.
const VERSION_1 = { quality_weight: 0.9, speed_weight: 0.1, min_quality: 0.01 };
const TIE = 1 - 1e-12;

function varint(bytes, at) {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = bytes[at++];
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return [Number(value), at];
  }
}

// The length-delimited fields of a protobuf message; an ONNX model has no others that matter here.
function* fields(bytes) {
  for (let at = 0; at < bytes.length; ) {
    let tag, size;
    [tag, at] = varint(bytes, at);
    if ((tag & 7) === 0) [, at] = varint(bytes, at);
    else if ((tag & 7) === 2) {
      [size, at] = varint(bytes, at);
      yield [tag >> 3, bytes.subarray(at, at + size)];
      at += size;
    } else at += (tag & 7) === 1 ? 8 : 4;
  }
}

function readMetadata(bytes) {
  const seal = bytes.subarray(-64).toString();
  if (createHash("sha256").update(bytes.subarray(0, -86)).digest("hex") !== seal) throw new Error("it was altered");
  const metadata = {};
  for (const [field, value] of fields(bytes)) {
    if (field !== 14) continue;
    const { 1: key, 2: json } = Object.fromEntries(fields(value));
    const name = key.toString().replace("modelpick.", "");
    if (!["sha256", "document", "vectors"].includes(name)) metadata[name] = JSON.parse(json.toString());
  }
  const version = metadata.format_version ?? metadata.contract;
  if (!(version <= FORMAT_VERSION)) throw new Error(`format version ${version} is not known here`);
  return version === 1 ? { ...VERSION_1, ...metadata } : metadata;
}

function vote(metadata, models, qualities, speeds) {
  const { quality_weight, speed_weight, min_quality } = metadata;
  const sums = new Map();
  models.forEach((model, rank) => {
    const quality = Math.max(qualities[rank], min_quality ?? -Infinity);
    const weight = quality_weight * quality + speed_weight * speeds[rank];
    sums.set(model, (sums.get(model) ?? 0) + weight);
  });
  const least = Math.max(...sums.values()) * TIE;
  for (const [model, sum] of sums) if (sum >= least) return model;
}

async function nearest(session, metadata, features, outputs) {
  const found = await session.run({ features }, ["certified", ...outputs]);
  if (found.certified.data[0]) return found;
  const all = new ort.Tensor("int64", [BigInt(metadata.distinct)], [1]);
  const again = { features, candidates: all };
  if (session.inputNames.includes("kept")) again.kept = all;
  return session.run(again, ["certified", ...outputs]);
}

async function select(session, metadata, query) {
  const features = new ort.Tensor("float64", Float64Array.from(query), [1, metadata.n_features_in]);
  if (metadata.algorithm === "knn") {
    const { model, quality, speed } = await nearest(session, metadata, features, ["model", "quality", "speed"]);
    return metadata.model_names[vote(metadata, Array.from(model.data, Number), quality.data, speed.data)];
  }
  const output = metadata.algorithm === "kmeans" ? "cluster" : "classifier";
  const found = await session.run({ features }, [output]);
  return metadata.choices[Number(found[output].data[0])];
}

const bytes = readFileSync(process.argv[2]);
const metadata = readMetadata(bytes);
if (!["native/1", "trainer/1"].includes(metadata.semantics)) throw new Error(`${metadata.semantics}: not known here`);
const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 4 });
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  console.log(await select(session, metadata, JSON.parse(line)));
}
