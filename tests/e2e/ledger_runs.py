"""ledger_runs.py FOLDER: writes run directories with made-up results, for ledger.bats."""
import json, os, sys

sys.path.insert(0, 'tools')
from published import CURVES

folder = sys.argv[1]
PAPER = {'format': 'cifar10', 'epochs': 150, 'batch': 256, 'lr': 0.01, 'weight_decay': 0.005, 'schedule': 'step'}


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f:
        f.write(text if isinstance(text, str) else json.dumps(text))


def config(run, protocol):
    p = {**PAPER, **protocol}
    train = ''.join(f'  {k}: {v}\n' for k, v in p.items() if k != 'format')
    write(f'{folder}/{run}/config.yaml', f'name: x\ndata:\n  format: {p["format"]}\ntrain:\n{train}prune:\n  init: inherit\n')


def prune(run, parent, arch, metric, removed, saving, accuracy=None, where='', protocol={}, **more):
    config(run, protocol)
    result = {'arch': arch, 'metric': metric, 'parent': f'runs/{parent}/best.safetensors', 'removed': removed,
              'saving_percent': saving, 'macs_before': 100, 'macs_after': 90, **more}
    if accuracy:
        result.update(zip(('accuracy_before', 'accuracy_cut', 'accuracy_after'), accuracy))
    write(f'{folder}/{run}/{where}prune.json', result)


def curve(run, arch, q, **more):
    write(f'{folder}/{run}/analysis-lu/analysis.json', {
        'arch': arch, 'hooks': 'lu2022', 'k': 3, 'lu_batch': 500, 'layers': [{'lu': {'mean': v}} for v in q], **more})


for seed, (before, change) in enumerate(((.944, .003), (.945, .005), (.946, .007))):
    accuracy = before, .5, before + change
    prune(f'r18-pruned-{seed}1-s{seed}', f'r18-0-s{seed}', 'resnet18', 'yang', ['layer4.1'], 42.2471, accuracy)
prune('r18-pruned-3-s0', 'r18-0-s0', 'resnet18', 'yang', ['layer4.1', 'layer3.1'], 52.8, (.944, .5, .94), count=2, pick='least')
prune('r18-pruned-random-4-s0', 'r18-0-s0', 'resnet18', 'random', ['layer1.0'], .66, (.944, .9, .945), count=1)
prune('v16-pruned-1-s0', 'v16-0-s0', 'vgg16_bn', 'yang', ['features.17', 'features.37'], 19.0, (.93, .5, .91),
      protocol={'format': 'folder', 'epochs': 20})
prune('v11-0-s0', 'v11-0-s0', 'vgg11_bn', 'lu', [], 0, where='analysis/')
write(f'{folder}/v11-0-s0/status.json', {'state': 'done', 'best_accuracy': .92})
q = list(CURVES['resnet18'])
q[3], q[4] = q[4] - .001, q[3] - .001  # neighbours swapped: |.334 - .274|
config('r18-0-s0', {})
curve('r18-0-s0', 'resnet18', q)
config('v16-0-s0', {'format': 'folder', 'epochs': 20})
curve('v16-0-s0', 'vgg16_bn', CURVES['vgg16_bn'][::-1])
curve('v11-0-s0', 'vgg11_bn', [.1] * 8)
