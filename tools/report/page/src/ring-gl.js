// ring-gl.js -- draws tens of thousands of curves in one instanced call; the GPU computes the points of each curve.
// Without WebGL 2, draws a sample of them on a plain canvas.
import { createBufferInfoFromArrays, createProgramInfo, createVertexArrayInfo, drawBufferInfo, setAttribInfoBufferFromArray,
         setBuffersAndAttributes, setUniforms } from 'twgl.js';
import { KEEP } from './ring-geometry.js';

const SEGMENTS = 24;
const SAMPLE = 6000; // edges drawn without WebGL

const vertexShader = `#version 300 es
in float t;            // along the curve
in vec4 ends;          // the two vertices on the unit circle
in vec4 colour;        // not premultiplied
uniform vec2 scale;    // unit circle to clip space
out vec4 ink;
void main() {
    float u = 1.0 - t;
    float near = u * u * u + 3.0 * ${KEEP} * u * u * t;
    float far = t * t * t + 3.0 * ${KEEP} * t * t * u;
    gl_Position = vec4((near * ends.xy + far * ends.zw) * scale, 0.0, 1.0);
    ink = vec4(colour.rgb * colour.a, colour.a);
}`;
const fragmentShader = `#version 300 es
precision mediump float;
in vec4 ink;
out vec4 pixel;
void main() { pixel = ink; }`;

class GpuDrawing {
    constructor(canvas, gl) {
        this.canvas = canvas;
        this.gl = gl;
        this.limit = Infinity;
        this.open();
        canvas.addEventListener('webglcontextlost', (event) => event.preventDefault());
        canvas.addEventListener('webglcontextrestored', () => { this.open(); if (this.last) this.draw(this.last); });
    }

    open() {
        this.program = createProgramInfo(this.gl, [vertexShader, fragmentShader]);
        this.buffers = createBufferInfoFromArrays(this.gl, {
            t: { numComponents: 1, data: Float32Array.from({ length: SEGMENTS + 1 }, (_, k) => k / SEGMENTS) },
            ends: { numComponents: 4, data: new Float32Array(4), divisor: 1 },
            colour: { numComponents: 4, data: new Uint8Array(4), normalize: true, divisor: 1 },
        });
        this.arrays = createVertexArrayInfo(this.gl, this.program, this.buffers);
    }

    draw(scene) {
        const { gl, buffers } = this, { ends, colours, count, radius } = scene;
        this.last = scene;
        gl.viewport(0, 0, this.canvas.width, this.canvas.height);
        gl.clearColor(0, 0, 0, 0);
        gl.clear(gl.COLOR_BUFFER_BIT);
        if (!count) return;
        setAttribInfoBufferFromArray(gl, buffers.attribs.ends, ends.subarray(0, 4 * count));
        setAttribInfoBufferFromArray(gl, buffers.attribs.colour, colours.subarray(0, 4 * count));
        gl.enable(gl.BLEND);
        gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
        gl.useProgram(this.program.program);
        setBuffersAndAttributes(gl, this.program, this.arrays);
        setUniforms(this.program, { scale: [2 * radius / this.canvas.width, -2 * radius / this.canvas.height] });
        drawBufferInfo(gl, this.arrays, gl.LINE_STRIP, SEGMENTS + 1, 0, count);
    }

    close() {
        this.gl.getExtension('WEBGL_lose_context')?.loseContext();
    }
}

class PlainDrawing {
    constructor(canvas) {
        this.canvas = canvas;
        this.context = canvas.getContext('2d');
        this.limit = SAMPLE;
    }

    draw({ ends, colours, count, radius }) {
        const c = this.context, { width, height } = this.canvas;
        c.clearRect(0, 0, width, height);
        const at = (v, share) => [width / 2 + radius * share * ends[v], height / 2 + radius * share * ends[v + 1]];
        for (let e = 0; e < count; e++) {
            c.strokeStyle = `rgba(${colours[4 * e]},${colours[4 * e + 1]},${colours[4 * e + 2]},${colours[4 * e + 3] / 255})`;
            c.beginPath();
            c.moveTo(...at(4 * e, 1));
            c.bezierCurveTo(...at(4 * e, KEEP), ...at(4 * e + 2, KEEP), ...at(4 * e + 2, 1));
            c.stroke();
        }
    }

    close() {}
}

/** draw({ends: [ax ay bx by ..], colours: [r g b a ..], count, radius}); at most `limit` edges; radius in canvas pixels. */
export function openDrawing(canvas) {
    const gl = canvas.getContext('webgl2', { antialias: true, premultipliedAlpha: true, preserveDrawingBuffer: true });
    return gl ? new GpuDrawing(canvas, gl) : new PlainDrawing(canvas);
}
