#!/usr/bin/python3
"""compare_attack.py CHECKPOINT CLEAN ATTACKED: does `attack` change the images as PyTorch would?

CLEAN and ATTACKED are folders with test_batch.bin; ATTACKED/attack.json has the settings. Every pixel must be valid and
within eps. FGSM, and PGD without random start, are repeated in float64 and must agree in all pixels but the few whose
gradient is 0 up to rounding.
"""
import json, os, sys
import numpy as np, torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nets_torch, stfile


def images(folder):
    records = np.fromfile(os.path.join(folder, 'test_batch.bin'), np.uint8).reshape(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32).astype(np.int64), records[:, 0].astype(np.int64)


def load(path):
    tensors, meta = stfile.read(path)
    net = nets_torch.make(json.loads(meta['arch'])['arch']).double()
    net.load_state_dict({k: torch.from_numpy(np.frombuffer(d, '<f4').astype(np.float64).reshape(s))
                         for k, (t, s, d) in tensors.items() if t == 'F32'}, strict=False)
    norm = json.loads(meta['normalisation'])
    return net.eval(), *(torch.tensor(norm[k]).double().view(3, 1, 1) for k in ('mean', 'std'))


net, mean, std = load(sys.argv[1])
(clean, labels), (moved, same) = images(sys.argv[2]), images(sys.argv[3])
how = json.load(open(os.path.join(sys.argv[3], 'attack.json')))
eps, pgd = how['eps'], how['kind'] == 'pgd'
assert (labels == same).all() and clean.shape == moved.shape and how['samples'] == len(clean)
assert np.abs(moved - clean).max() <= eps, f'a pixel moved by {np.abs(moved - clean).max()}'
x = clean.copy()
for _ in range(how['steps'] if pgd else 1):
    t = torch.from_numpy(x).double().requires_grad_()
    torch.nn.functional.cross_entropy(net((t / 255 - mean) / std), torch.from_numpy(labels)).backward()
    x = x + np.sign(t.grad.numpy()).astype(np.int64) * (how['step'] if pgd else eps)
    x = np.clip(np.clip(x, clean - eps, clean + eps), 0, 255)
share = (x == moved).mean()
print(f'{how["kind"]}: {len(x)} images, {100 * share:.3f} % of the pixels as in PyTorch')
sys.exit(not share >= (.99 if pgd else .999))
