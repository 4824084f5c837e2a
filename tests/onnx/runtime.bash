# fetch_runtime: installs onnxruntime into $NODE_PATH, once, from the lock file, without its install script, which only
# fetches CUDA libraries; skips the test where that cannot be done.
fetch_runtime() {
    command -v npm >/dev/null || skip "npm is not installed: no onnxruntime"
    mkdir -p "$NODE_PATH/.."
    exec 9>"$NODE_PATH/../lock"
    flock 9 # two files of tests want it
    [ -d "$NODE_PATH/onnxruntime-node" ] || {
        cp tests/onnx/package*.json "$NODE_PATH/.."
        (cd "$NODE_PATH/.." && npm ci --ignore-scripts) >"$NODE_PATH/../npm.log" 2>&1 || skip "npm cannot fetch onnxruntime-node"
    }
    exec 9>&-
}
