package storage

import "errors"

// Open opens the data folder dir of member id, making it if there is none.
func Open(dir string, id uint64, o Options) (*Store, error) {
	return nil, errors.New("open: not yet")
}

// Memory makes an empty store that forgets everything when it is closed. Its incarnation is 1.
func Memory(id uint64) *Store { return nil }
