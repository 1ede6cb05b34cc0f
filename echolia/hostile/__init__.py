"""A malicious server: a real, honest one, behind an operator who lies by one named attack at a time.

    operator = Operator()
    device = await Device.open(home, transport=HostileTransport(HttpTransport(server), operator))
    operator.begin(ATTACKS["fork"], against=[device.id])
    ...
    operator.end()

It holds what the operator of a server holds: all that passes through it and all that the server keeps. It has
no device's keys; an import contract sees to that. `spec/threat-model.md` says what a device does about each.
"""

from echolia.hostile.attack import Attack
from echolia.hostile.catalogue import ATTACKS
from echolia.hostile.operator import HostileTransport, Operator

__all__ = ["ATTACKS", "Attack", "HostileTransport", "Operator"]
