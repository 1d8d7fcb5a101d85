package wire

import "strconv"

// Code is an error code of the ZooKeeper protocol as it stands in a reply header or a multi result.
// The client's public Code is its twin.
type Code int32

// The codes a server sends, with the numbers of the protocol.
const (
	OK                       Code = 0
	ErrSystem                Code = -1
	ErrRuntimeInconsistency  Code = -2 // multi: an operation after the failed one
	ErrConnectionLoss        Code = -4 // never on the wire
	ErrMarshalling           Code = -5
	ErrUnimplemented         Code = -6
	ErrOperationTimeout      Code = -7
	ErrBadArguments          Code = -8
	ErrNewConfigNoQuorum     Code = -13
	ErrReconfigInProgress    Code = -14
	ErrNoNode                Code = -101
	ErrNoAuth                Code = -102
	ErrBadVersion            Code = -103
	ErrNoChildrenEphemeral   Code = -108
	ErrNodeExists            Code = -110
	ErrNotEmpty              Code = -111
	ErrSessionExpired        Code = -112
	ErrInvalidACL            Code = -114
	ErrAuthFailed            Code = -115
	ErrSessionMoved          Code = -118 // closes the connection instead of being sent
	ErrNotReadOnly           Code = -119
	ErrEphemeralLocalSession Code = -120
	ErrNoWatcher             Code = -121
	ErrReconfigDisabled      Code = -123
	ErrSessionClosedSASL     Code = -124
	ErrQuotaExceeded         Code = -125
	ErrThrottled             Code = -127
)

var codeNames = map[Code]string{
	OK:                       "ok",
	ErrSystem:                "system error",
	ErrRuntimeInconsistency:  "not tried: an earlier operation of the transaction failed",
	ErrConnectionLoss:        "connection lost",
	ErrMarshalling:           "request could not be decoded",
	ErrUnimplemented:         "operation not implemented by the server",
	ErrOperationTimeout:      "operation timed out",
	ErrBadArguments:          "bad arguments",
	ErrNewConfigNoQuorum:     "no quorum of the new configuration is in step",
	ErrReconfigInProgress:    "another reconfiguration is in progress",
	ErrNoNode:                "node does not exist",
	ErrNoAuth:                "not authorized",
	ErrBadVersion:            "version does not match",
	ErrNoChildrenEphemeral:   "ephemeral nodes cannot have children",
	ErrNodeExists:            "node exists",
	ErrNotEmpty:              "node has children",
	ErrSessionExpired:        "session expired",
	ErrInvalidACL:            "invalid ACL",
	ErrAuthFailed:            "authentication failed",
	ErrSessionMoved:          "session moved to another connection",
	ErrNotReadOnly:           "server is read-only",
	ErrEphemeralLocalSession: "ephemeral node on a local session",
	ErrNoWatcher:             "no such watch",
	ErrReconfigDisabled:      "reconfiguration is disabled",
	ErrSessionClosedSASL:     "session closed: authentication required",
	ErrQuotaExceeded:         "quota exceeded",
	ErrThrottled:             "request throttled",
}

// Error says in words what the code means.
func (c Code) Error() string {
	if s, ok := codeNames[c]; ok {
		return s
	}
	return "protocol error " + strconv.Itoa(int(c))
}
