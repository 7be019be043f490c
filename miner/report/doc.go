// Package report tells the chain what a miner sees of its VMs: news at once, together with what else comes within a
// short time, and everything every so often as a sign of life, within the rate that the chain takes from one miner.
package report
