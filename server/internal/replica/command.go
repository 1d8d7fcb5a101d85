package replica

import "encoding/binary"

// Commands lie behind each other in a batch, each after its length as a uvarint.

func appendCommand(b, cmd []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(cmd)))
	return append(b, cmd...)
}

// cutCommand splits off the first command. The bytes were checked by checkCommands when they came in.
func cutCommand(b []byte) (cmd, rest []byte) {
	n, w := binary.Uvarint(b)
	return b[w : w+int(n)], b[w+int(n):]
}

// checkCommands tells whether b is exactly n commands.
func checkCommands(b []byte, n int) bool {
	for range n {
		size, w := binary.Uvarint(b)
		if w <= 0 || size > uint64(len(b)-w) {
			return false
		}
		b = b[w+int(size):]
	}
	return len(b) == 0
}
