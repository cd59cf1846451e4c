package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// newEnvironment runs a workflow without a server. A step that takes over a
// second is taken for a deadlock by default, and on a busy machine one may.
func newEnvironment(suite *testsuite.WorkflowTestSuite) *testsuite.TestWorkflowEnvironment {
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute})
	return env
}

// handedOn is the input that a workflow which went on as new hands to its next run, and how that is started.
func handedOn[I any](t *testing.T, env interface{ GetWorkflowError() error }) (in I, next *workflow.ContinueAsNewError) {
	t.Helper()
	require.ErrorAs(t, env.GetWorkflowError(), &next)
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &in))
	return in, next
}
