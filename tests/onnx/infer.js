// infer.js MODEL.onnx IMAGES.f32 LOGITS.f32 [C H W]: runs float32 images [n, C, H, W] (3 32 32) through a model in
// onnxruntime.
// Packages are looked for in $NODE_PATH.
const fs = require("fs");
const ort = require("onnxruntime-node");

async function main([model, images, logits, ...size]) {
  const [c, h, w] = size.length ? size.map(Number) : [3, 32, 32];
  const bytes = fs.readFileSync(images);
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const session = await ort.InferenceSession.create(model);
  const image = new ort.Tensor("float32", values, [values.length / (c * h * w), c, h, w]);
  const result = await session.run({ image });
  const out = result.logits.data;
  fs.writeFileSync(logits, Buffer.from(out.buffer, out.byteOffset, out.byteLength));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(String(error));
  process.exit(1);
});
