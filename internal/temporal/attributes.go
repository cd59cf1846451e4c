package temporal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// Attributes are search attributes by name.
type Attributes map[string]enums.IndexedValueType

// EnsureSearchAttributes makes the search attributes that are missing in the
// namespace and returns their names. Doing so twice, or from two primaries at
// once, is harmless. One that exists with another type is an error; so is
// missing permission, with the command that an administrator runs instead.
func EnsureSearchAttributes(ctx context.Context, c client.Client, namespace string, want Attributes) (created []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("list Temporal's search attributes: %w", Explain(err))
	}
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(want)) {
		kind, exists := have.GetCustomAttributes()[name]
		switch {
		case exists && kind != want[name]:
			failed = append(failed, fmt.Errorf("search attribute %s is of type %s where %s is needed: remove it with "+
				"`temporal operator search-attribute remove --namespace %s --name %[1]s`, it is made anew within a minute", name, kind, want[name], namespace))
		case !exists:
			if err := addAttribute(ctx, c, namespace, name, want[name]); err != nil {
				failed = append(failed, err)
				continue
			}
			created = append(created, name)
		}
	}
	return created, errors.Join(failed...)
}

func addAttribute(ctx context.Context, c client.Client, namespace, name string, kind enums.IndexedValueType) error {
	_, err := c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: namespace, SearchAttributes: Attributes{name: kind},
	})
	var exists *serviceerror.AlreadyExists
	if err == nil || errors.As(err, &exists) {
		return nil
	}
	return fmt.Errorf("make search attribute %s: %w; an administrator can: `temporal operator search-attribute create --namespace %s --name %[1]s --type %[4]s`",
		name, Explain(err), namespace, kind)
}
