// What is asked of the kernels, wherever there is WebGPU: a page, or Node with Dawn. `checks` is the module of
// tests/browser/checks, initialized.

/** Shaders that are compiled at a time: browsers do it on threads of their own. */
const COMPILERS = 4;

/** Compiles WGSL and makes a pipeline of it; what the compiler has against it, per shader. */
export async function compile(checks, shaders = checks.shaders()) {
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter.requestDevice();
  const check = async (code) => {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code });
    const wrong = device.popErrorScope();
    const { messages } = await module.getCompilationInfo();
    const pipeline = { layout: 'auto', compute: { module, entryPoint: 'main' } };
    const failure = await device.createComputePipelineAsync(pipeline).then(() => null, (error) => error.message);
    const texts = messages.map(({ type, lineNum, message }) => `${type} at line ${lineNum}: ${message}`);
    return [...texts, failure, (await wrong)?.message].filter(Boolean);
  };
  const complaints = {};
  const queue = [...shaders];
  const lane = async () => {
    for (let next; (next = queue.shift()); ) complaints[next[0]] = await check(next[1]);
  };
  await Promise.all(Array.from({ length: COMPILERS }, lane));
  device.destroy();
  return complaints;
}

/** Runs op cases on a device; what is wrong with each, and the largest NMSE. */
export async function runOps(checks, { gpu, exact, filter }) {
  const ops = gpu ? await checks.Ops.gpu(true) : checks.Ops.cpu();
  const cases = ops.cases(filter);
  const bad = [];
  let nmse = 0;
  for (const name of cases) {
    const report = await ops.run(name, exact).catch((error) => ({ passed: false, worst: String(error) }));
    nmse = Math.max(nmse, report.nmse ?? NaN);
    if (!report.passed) bad.push(`${name}: off by ${report.worst} of the tolerance, NMSE ${report.nmse}`);
    else if (!report.notices) bad.push(`${name}: a wrong answer would pass`);
  }
  return { device: ops.name(), count: cases.length, bad, nmse };
}
