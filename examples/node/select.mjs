// Picks language models with an artifact, by docs/artifact.md alone:
//   npm install --ignore-scripts && node select.mjs ARTIFACT < queries.jsonl
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";

const ARTIFACT_FORMAT = 2;
// What version 1 leaves out.
const VERSION_1 = { quality_weight: 0.9, speed_weight: 0.1, min_quality: 0.01 };
const TIE = 1e-12;
// Rules of each algorithm.
const KNOWN = {
  knn: ["native/1", "native/2", "trainer/1"],
  kmeans: ["native/1", "native/2"],
  svm: ["native/1", "native/2", "trainer/1"],
  mlp: ["native/1", "native/2"],
  hiershrink: ["native/1"],
};

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
  if (!(version <= ARTIFACT_FORMAT)) throw new Error(`format version ${version} is not known here`);
  return version === 1 ? { ...VERSION_1, ...metadata } : metadata;
}

// Reads a float64 initializer, row after row: a model's graph is field 7, whose initializers are field 5.
function readTable(bytes, wanted) {
  for (const [field, graph] of fields(bytes)) {
    if (field !== 7) continue;
    for (const [field, tensor] of fields(graph)) {
      if (field !== 5) continue;
      const { 8: name, 9: raw } = Object.fromEntries(fields(tensor));
      if (name.toString() === wanted) return new Float64Array(new Uint8Array(raw).buffer);
    }
  }
  throw new Error(`expected the initializer ${wanted}`);
}

function vote(metadata, models, qualities, speeds) {
  const { quality_weight, speed_weight, min_quality, model_names } = metadata;
  const sums = new Map();
  models.forEach((model, rank) => {
    const quality = Math.max(qualities[rank], min_quality ?? -Infinity);
    const weight = quality_weight * quality + speed_weight * speeds[rank];
    sums.set(model, (sums.get(model) ?? 0) + weight);
  });
  const highest = Math.max(...sums.values());
  const tied = [...sums].filter(([, sum]) => sum >= highest - Math.abs(highest) * TIE).map(([model]) => model_names[model]);
  // Bytes of UTF-8 are in the order of code points; characters of JavaScript are not.
  return metadata.semantics === "native/2" ? tied.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))[0] : tied[0];
}

async function nearest(session, metadata, features, outputs) {
  const found = await session.run({ features }, ["certified", ...outputs]);
  if (found.certified.data[0]) return found;
  const all = new ort.Tensor("int64", [BigInt(metadata.distinct)], [1]);
  const again = { features, candidates: all };
  if (session.inputNames.includes("kept")) again.kept = all;
  return session.run(again, ["certified", ...outputs]);
}

function highest(metadata, score) {
  const scores = metadata.model_names.map((_, model) => score(model));
  return metadata.model_names[scores.indexOf(Math.max(...scores))];
}

// Each makes the function that picks by what the graph gives for a query.
const PICKS = {
  knn: () => async (session, metadata, features) => {
    const { model, quality, speed } = await nearest(session, metadata, features, ["model", "quality", "speed"]);
    return vote(metadata, Array.from(model.data, Number), quality.data, speed.data);
  },
  hiershrink: (metadata, bytes) => {
    const [means, sums, counts] = ["coarse_means", "fine_sums", "fine_counts"].map((name) => readTable(bytes, name));
    const latencies = readTable(bytes, "latencies");
    const { shrinkage, cost_weight, model_names } = metadata;
    const [n, greatest] = [model_names.length, Math.max(...latencies) || 1];
    return async (session, metadata, features) => {
      const found = await session.run({ features }, ["coarse_cluster", "cluster"]);
      const [coarse, fine] = [Number(found.coarse_cluster.data[0]) * n, Number(found.cluster.data[0]) * n];
      return highest(metadata, (model) => {
        const mean = (sums[fine + model] + shrinkage * means[coarse + model]) / (counts[fine + model] + shrinkage);
        return mean - (cost_weight * latencies[model]) / greatest;
      });
    };
  },
  kmeans: (metadata, bytes) => {
    if (metadata.semantics === "native/1") return choice("cluster");
    const scores = readTable(bytes, "scores");
    return async (session, metadata, features) => {
      const { cluster } = await session.run({ features }, ["cluster"]);
      const first = Number(cluster.data[0]) * metadata.model_names.length;
      return highest(metadata, (model) => scores[first + model]);
    };
  },
  svm: () => choice("classifier"),
  mlp: () => choice("classifier"),
};

function choice(output) {
  return async (session, metadata, features) => {
    const found = await session.run({ features }, [output]);
    return metadata.choices[Number(found[output].data[0])];
  };
}

const bytes = readFileSync(process.argv[2]);
const metadata = readMetadata(bytes);
const { algorithm, semantics } = metadata;
if (!KNOWN[algorithm]?.includes(semantics)) throw new Error(`${algorithm} ${semantics}: not known here`);
const pick = PICKS[algorithm](metadata, bytes);
const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 4 });
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const features = new ort.Tensor("float64", Float64Array.from(JSON.parse(line)), [1, metadata.n_features_in]);
  console.log(await pick(session, metadata, features));
}
