"""Who is near: nodes of this cluster on the local network, by multicast DNS. An optional part.

It proposes addresses, and nothing else. Whoever is on the network can say anything here; who a
node is, and whether it is let in, is decided when it has been dialled and greets. That a peer
lives or is gone is never concluded from here either.

In reading order: `announcement` (what a node says of itself), `interfaces` (where it can be
reached, and whom it can reach), `questions` (when to ask), `surroundings` (what was seen, and how
much of it is kept), and `multicast`, the one module that talks to a network. All others are pure,
but for one call that reads the interfaces.
"""
