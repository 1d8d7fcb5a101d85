package client_test

import (
	"os"
	"testing"

	"github.com/docent-io/docent/internal/testkit"
)

// No test leaves a goroutine behind, the parallel ones included. (Those in bubbles tell by themselves.)
func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }
