"""What `mitmdump -s` loads: `alg mitm-path` prints where this file is. It holds the list of addons and nothing else."""

from __future__ import annotations

from alg.mitm.addon import Gateway

addons = [Gateway()]
