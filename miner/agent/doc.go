// Package agent makes this host match the chain: for each VM that the chain
// gives to this miner it looks at what should be, looks at what is, takes the
// one next step, and reports what it sees.
//
//	chain ──Follow──▶ stored VMs + cursor ──▶ reconcile(vm) ──▶ driver, network, seed
//	  ▲                                          │  ▲
//	  └──────────── Report ◀── what is so ◀──────┘  └── guest's proofs
//
// It acts from stored state only, never from an event it might have missed; a
// step may run twice, at any time, after any crash. What runs is adopted. What
// it does not understand it leaves alone: a VM is destroyed only when
// every endpoint of the chain says that this miner no longer holds the VM.
//
// A VM that the chain gave up as failed is shut down and reported as failed: its disk is kept, and charged on that word.
package agent
