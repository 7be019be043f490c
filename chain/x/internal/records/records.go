// Package records reads the modules' collections.
package records

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
)

// All values of a map, in the order of their keys. Who calls it knows that they are few, or writes a genesis.
func All[K, V any](ctx context.Context, m collections.Map[K, V]) ([]V, error) {
	it, err := m.Iterate(ctx, nil)
	if err != nil {
		return nil, err
	}
	return it.Values() // closes it
}

// Due are the entries of a queue, whose keys begin with a time or a height, up to by: the earliest first, at most limit.
func Due[K interface{ K1() int64 }](ctx context.Context, queue collections.KeySet[K], by int64, limit int) ([]K, error) {
	var due []K
	err := queue.Walk(ctx, nil, func(key K) (bool, error) {
		if key.K1() > by || len(due) >= limit {
			return true, nil
		}
		due = append(due, key)
		return false, nil
	})
	return due, err
}

// OrZero gives the zero value for what is not there, and is asked with the answer of a Get.
func OrZero[T any](v T, err error) (T, error) {
	if errors.Is(err, collections.ErrNotFound) {
		err = nil
	}
	return v, err
}
