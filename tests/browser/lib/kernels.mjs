// What is asked of the kernels, wherever there is WebGPU: a page, or Node with Dawn. `checks` is the module of
// tests/browser/checks, initialized.

/** Shaders that are compiled at a time: browsers do it on threads of their own. */
const COMPILERS = 4;

/** What WGSL calls what an adapter must have. */
const FEATURES = { f16: 'shader-f16', subgroups: 'subgroups' };

/** Whether an adapter has what a shader enables. */
function possible(adapter, code) {
  return [...code.matchAll(/^enable (\w+);/gm)].every(([, name]) => adapter.features.has(FEATURES[name]));
}

/**
 * Compiles WGSL; what the compiler has against it, per shader. Those for which the adapter has not what they enable are left out.
 * `all` makes pipelines of all, not only of the first of each kernel's: a software adapter takes seconds for one.
 */
export async function compile(checks, { shaders = checks.shaders(), gpu = navigator.gpu, all = false } = {}) {
  const adapter = await gpu.requestAdapter();
  const requiredFeatures = Object.values(FEATURES).filter((feature) => adapter.features.has(feature));
  const device = await adapter.requestDevice({ requiredFeatures });
  const kernels = new Set();
  const isFirst = (kernel) => !kernels.has(kernel) && kernels.add(kernel);
  const check = async ([name, code]) => {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code });
    const wrong = device.popErrorScope();
    const { messages } = await module.getCompilationInfo();
    const pipeline = { layout: 'auto', compute: { module, entryPoint: 'main' } };
    const made = isFirst(name.split('.')[0]) || all ? device.createComputePipelineAsync(pipeline) : Promise.resolve();
    const failure = await made.then(() => null, (error) => error.message);
    const texts = messages.map(({ type, lineNum, message }) => `${type} at line ${lineNum}: ${message}`);
    return [...texts, failure, (await wrong)?.message].filter(Boolean);
  };
  const complaints = {};
  const queue = shaders.filter(([, code]) => possible(adapter, code));
  const lane = async () => {
    for (let next; (next = queue.shift()); ) complaints[next[0]] = await check(next);
  };
  await Promise.all(Array.from({ length: COMPILERS }, lane));
  device.destroy();
  return complaints;
}

/** Cases of products of types: of one row, and of more than a tile of them. */
export function products(types) {
  return { filter: 'mat_mul cols=256', only: `n=(1|9) rows=\\[37\\] ty=(${types.join('|')})$` };
}

/** Runs op cases on a device, on a GPU at a level; what is wrong with each, and the largest NMSE. `only`: a pattern of their names. */
export async function runOps(checks, { gpu, exact, filter, level = 'base', only = '' }) {
  const ops = gpu ? await checks.Ops.gpu(true, level) : checks.Ops.cpu();
  const cases = ops.cases(filter).filter((name) => new RegExp(only).test(name));
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
