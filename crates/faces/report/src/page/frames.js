// Stacks: which frames are the user's own, and how they are shortened.
/** Frames of PyTorch, of Python itself and of the machine: they say how, and not who. */
const MACHINERY = /(^|[\\/])torch[\\/]|(^|[\\/])lib[\\/]python\d[^\\/]*[\\/](?!site-packages|dist-packages)|^<frozen |importlib|^\?\?|_call_impl$|generic\.py:\d+ wrapper$/;
const LIBRARY = /(site|dist)-packages[\\/]/;
const isMachinery = frame => MACHINERY.test(frame);
const isLibrary = frame => LIBRARY.test(frame) || isMachinery(frame);

const framesOf = (one, name) => one.names[name].map(frame => one.frames[frame]);
const stackOf = block => framesOf(run(), block[NAME]);

/** A frame without its folders: `modeling_llama.py:164 forward`. */
function shortFrame(frame) {
  const found = /^(.*[\\/])?([^\\/]+:\d+ .*)$/.exec(frame);
  return found ? found[2] : frame;
}

/** The module of a simulated place: its frames are the op, the module, and the node of autograd. */
const moduleOf = frames => frames.slice(1).find(frame => !/Backward\d*$/.test(frame)) || '';

/** The frames of a simulated place, outermost first: the parts of the module's path, any layer as one, then the op. */
function simulatedPath(frames) {
  const module = moduleOf(frames);
  const parts = module ? module.split('.').map(part => (/^\d+$/.test(part) ? '*' : part)) : [];
  return [...parts, ...frames.slice(0, 1)];
}

/** The frames of a stack, outermost first, without machinery unless everything is, or it was asked for. */
function recordedPath(frames) {
  const kept = state.libraries ? frames : frames.filter(frame => !isMachinery(frame));
  const shown = kept.length ? kept : frames.slice(0, 1);
  return shown.map(frame => (state.libraries ? frame : shortFrame(frame))).reverse();
}

const pathOf = frames => (run().predicted ? simulatedPath(frames) : recordedPath(frames));

/** Where a block was made: of a recording the user's own line and the library's line inside it, else module and op. */
function whereOf(frames) {
  if (run().predicted) return [moduleOf(frames) || frames[0] || '(no place)', moduleOf(frames) ? frames[0] : ''];
  const own = frames.find(frame => !isLibrary(frame));
  const inside = frames.find(frame => !isMachinery(frame));
  if (!own && !inside) return [frames[0] ? shortFrame(frames[0]) : '(no stack)', ''];
  return own && inside !== own ? [shortFrame(own), inside ? shortFrame(inside) : ''] : [shortFrame(own || inside), ''];
}

const whereText = frames => whereOf(frames).filter(Boolean).join(' ← ');

/** A list of frames, innermost first, in which machinery is folded. */
function stackList(frames) {
  const list = document.createElement('ol');
  list.id = 'stack';
  let folded = [];
  const flush = () => {
    if (folded.length) list.append(foldedFrames(folded));
    folded = [];
  };
  for (const frame of frames) {
    if (!run().predicted && isMachinery(frame) && frames.length > 1) { folded.push(frame); continue; }
    flush();
    list.append(text('li', frame, isLibrary(frame) ? 'library' : 'own'));
  }
  flush();
  return list;
}

function foldedFrames(frames) {
  const item = document.createElement('li');
  item.className = 'folded';
  const details = document.createElement('details');
  details.append(text('summary', frames.length === 1 ? '1 frame of PyTorch or Python' : `${frames.length} frames of PyTorch or Python`));
  frames.forEach(frame => details.append(text('div', frame)));
  item.append(details);
  return item;
}
