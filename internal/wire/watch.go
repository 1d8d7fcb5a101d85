package wire

import "strconv"

// EventType says what happened to the node a watch is on.
type EventType int32

// The events of the protocol.
const (
	EventNone            EventType = -1 // made by clients: the state of the session changed
	EventCreated         EventType = 1
	EventDeleted         EventType = 2
	EventDataChanged     EventType = 3
	EventChildrenChanged EventType = 4
)

// String returns the name of the event.
func (t EventType) String() string {
	switch t {
	case EventNone:
		return "none"
	case EventCreated:
		return "created"
	case EventDeleted:
		return "deleted"
	case EventDataChanged:
		return "data changed"
	case EventChildrenChanged:
		return "children changed"
	}
	return "event " + strconv.Itoa(int(t))
}

// StateSyncConnected is the state that every notification carries.
const StateSyncConnected int32 = 3

// WatcherEvent is the body of a notification.
type WatcherEvent struct {
	Type  EventType
	State int32
	Path  string
}

// Append appends the event.
func (m *WatcherEvent) Append(b []byte) []byte {
	return AppendString(AppendInt32(AppendInt32(b, int32(m.Type)), m.State), m.Path)
}

// Decode reads the event.
func (m *WatcherEvent) Decode(r *Reader) {
	*m = WatcherEvent{Type: EventType(r.Int32()), State: r.Int32(), Path: r.String()}
}

// SetWatchesRequest registers watches again after a reconnect: setWatches, or setWatches2 with the last two lists.
type SetWatchesRequest struct {
	RelativeZxid int64 // the last zxid the client has seen
	Data         []string
	Exist        []string
	Child        []string
	Persistent   []string // setWatches2 only
	Recursive    []string // setWatches2 only
}

// Append appends the request as operation op has it.
func (m *SetWatchesRequest) Append(b []byte, op Op) []byte {
	b = AppendInt64(b, m.RelativeZxid)
	b = AppendStrings(b, m.Data)
	b = AppendStrings(b, m.Exist)
	b = AppendStrings(b, m.Child)
	if op == OpSetWatches2 {
		b = AppendStrings(b, m.Persistent)
		b = AppendStrings(b, m.Recursive)
	}
	return b
}

// Decode reads the request as operation op has it.
func (m *SetWatchesRequest) Decode(r *Reader, op Op) {
	*m = SetWatchesRequest{RelativeZxid: r.Int64(), Data: r.Strings(), Exist: r.Strings(), Child: r.Strings()}
	if op == OpSetWatches2 {
		m.Persistent, m.Recursive = r.Strings(), r.Strings()
	}
}

// WatchMode is the mode of an addWatch request.
type WatchMode int32

// The modes of addWatch.
const (
	WatchPersistent          WatchMode = 0
	WatchPersistentRecursive WatchMode = 1
)

// AddWatchRequest adds a persistent watch. The answer is an int, 0.
type AddWatchRequest struct {
	Path string
	Mode WatchMode
}

// Append appends the request.
func (m *AddWatchRequest) Append(b []byte) []byte {
	return AppendInt32(AppendString(b, m.Path), int32(m.Mode))
}

// Decode reads the request.
func (m *AddWatchRequest) Decode(r *Reader) {
	*m = AddWatchRequest{Path: r.String(), Mode: WatchMode(r.Int32())}
}

// WatcherType says which watches checkWatches and removeWatches are about.
type WatcherType int32

// The watcher types.
const (
	WatcherChildren   WatcherType = 1
	WatcherData       WatcherType = 2
	WatcherAny        WatcherType = 3
	WatcherPersistent WatcherType = 4 // since 3.9
	WatcherRecursive  WatcherType = 5 // since 3.9
)

// RemoveWatchesRequest is the request of checkWatches and removeWatches.
type RemoveWatchesRequest struct {
	Path string
	Type WatcherType
}

// Append appends the request.
func (m *RemoveWatchesRequest) Append(b []byte) []byte {
	return AppendInt32(AppendString(b, m.Path), int32(m.Type))
}

// Decode reads the request.
func (m *RemoveWatchesRequest) Decode(r *Reader) {
	*m = RemoveWatchesRequest{Path: r.String(), Type: WatcherType(r.Int32())}
}
