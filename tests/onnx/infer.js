// infer.js MODEL.onnx IMAGES.f32 LOGITS.f32: runs float32 images [n, 3, 32, 32] through a model in onnxruntime.
// Packages are looked for in $NODE_PATH.
const fs = require("fs");
const ort = require("onnxruntime-node");

async function main([model, images, logits]) {
  const bytes = fs.readFileSync(images);
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const session = await ort.InferenceSession.create(model);
  const image = new ort.Tensor("float32", values, [values.length / 3072, 3, 32, 32]);
  const result = await session.run({ image });
  const out = result.logits.data;
  fs.writeFileSync(logits, Buffer.from(out.buffer, out.byteOffset, out.byteLength));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(String(error));
  process.exit(1);
});
