package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	berrors "go.etcd.io/bbolt/errors"
)

// ErrReadOnly means a write inside View.
var ErrReadOnly = errors.New("written to in a transaction that only reads")

// Bucket is a named set of records of one kind, kept as JSON under string keys and listed in the order of their bytes.
// It exists from its first record.
type Bucket[V any] struct {
	name string
}

// NewBucket returns the bucket called name.
func NewBucket[V any](name string) Bucket[V] { return Bucket[V]{name} }

// Get returns the record at key, and whether there is one.
func (b Bucket[V]) Get(tx *Tx, key string) (v V, ok bool, err error) {
	raw := get(tx, b.name, key)
	if raw == nil {
		return v, false, nil
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, false, fmt.Errorf("decode %s %q: %w", b.name, key, err)
	}
	return v, true, nil
}

// Put keeps v at key. A key is 1 to 32768 bytes long.
func (b Bucket[V]) Put(tx *Tx, key string, v V) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s %q: %w", b.name, key, err)
	}
	return put(tx, b.name, key, raw)
}

// Delete removes the record at key, if there is one.
func (b Bucket[V]) Delete(tx *Tx, key string) error { return del(tx, b.name, key) }

// Each calls fn for each record whose key begins with prefix, in order, until it returns an error, which Each returns.
// fn may change the bucket; whether later calls see that is decided by the order alone.
func (b Bucket[V]) Each(tx *Tx, prefix string, fn func(key string, v V) error) error {
	return each(tx, b.name, prefix, func(key string, raw []byte) error {
		var v V
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("decode %s %q: %w", b.name, key, err)
		}
		return fn(key, v)
	})
}

// Blobs is a Bucket of plain bytes. What it returns belongs to the caller.
type Blobs struct {
	name string
}

// NewBlobs returns the bucket called name.
func NewBlobs(name string) Blobs { return Blobs{name} }

// Get returns the bytes at key; nil if there are none.
func (b Blobs) Get(tx *Tx, key string) []byte { return bytes.Clone(get(tx, b.name, key)) }

// Put keeps a copy of value at key.
func (b Blobs) Put(tx *Tx, key string, value []byte) error {
	return put(tx, b.name, key, append([]byte{}, value...))
}

// Delete removes the bytes at key, if there are any.
func (b Blobs) Delete(tx *Tx, key string) error { return del(tx, b.name, key) }

// Each is Bucket.Each.
func (b Blobs) Each(tx *Tx, prefix string, fn func(key string, value []byte) error) error {
	return each(tx, b.name, prefix, func(key string, raw []byte) error { return fn(key, bytes.Clone(raw)) })
}

func get(tx *Tx, bucket, key string) []byte {
	b := tx.bolt.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	return b.Get([]byte(key))
}

func put(tx *Tx, bucket, key string, value []byte) error {
	b, err := tx.bolt.CreateBucketIfNotExists([]byte(bucket))
	if err == nil {
		err = b.Put([]byte(key), value)
	}
	return told("put", bucket, key, err)
}

func del(tx *Tx, bucket, key string) error {
	b := tx.bolt.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	return told("delete", bucket, key, b.Delete([]byte(key)))
}

// each seeks anew for every record, so that fn may change the bucket.
func each(tx *Tx, bucket, prefix string, fn func(key string, raw []byte) error) error {
	b := tx.bolt.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	k, raw := b.Cursor().Seek([]byte(prefix))
	for k != nil && bytes.HasPrefix(k, []byte(prefix)) {
		key := string(k)
		if err := fn(key, raw); err != nil {
			return err
		}
		k, raw = b.Cursor().Seek([]byte(key + "\x00"))
	}
	return nil
}

func told(what, bucket, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, berrors.ErrTxNotWritable):
		err = ErrReadOnly
	}
	return fmt.Errorf("%s %s %q: %w", what, bucket, key, err)
}
