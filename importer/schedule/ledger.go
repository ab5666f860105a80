package schedule

import (
	"context"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Ledger keeps when tags were imported, for a process that comes later, and divides turns among processes that run at
// the same time. A [Record] for each stream and registry is what it has to keep; the methods of Record decide. It must
// be safe for concurrent use.
type Ledger interface {
	// Recall returns the state of a tag that is new to a [Loop], and whether there is one. It must not wait.
	Recall(stream *imagestream.ImageStream, tag string) (TagState, bool)
	// Claim asks for a turn before it is imported. An error is a failure of the ledger: the turn is asked for again
	// later.
	Claim(ctx context.Context, stream *imagestream.ImageStream, turn Turn) (*Claim, error)
}

// Claim is the answer of a [Ledger] to a turn.
type Claim struct {
	// Tags are those of the turn that the Loop must import now. Nobody else imports them until Finish returns or
	// Context ends.
	Tags []string
	// Others are the states of the other tags of the turn.
	Others map[string]TagState
	// Context is the one that Claim was called with, or one that ends with it. It ends before another process may
	// import the tags; the import ends with it, and is not written. It is used only if there are Tags.
	Context context.Context
	// Finish ends the claim. It is called once if there are Tags, also after Context has ended. The states are those
	// after the import; nil gives the tags back as they were. An error says that the ledger does not have the states.
	// It must return soon after Context has ended for another reason than the context of Claim.
	Finish func(states map[string]TagState) error
}
