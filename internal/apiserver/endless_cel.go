package apiserver

import (
	_ "unsafe" // for go:linkname

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/api/resource"
	apiservercel "k8s.io/apiserver/pkg/cel"
	_ "k8s.io/apiserver/pkg/cel/library" // has what is replaced

	"berth.dev/berth/internal/api/quantity"
)

// celQuantities are the functions on quantities that rules may call. The
// library has no other way to replace one, and a rule calls them with any text
// of an object, which nothing can see beforehand.
//
//go:linkname celQuantities k8s.io/apiserver/pkg/cel/library.quantityLibraryDecls
var celQuantities map[string][]cel.FunctionOpt

// The library builds its environments when the first rule is compiled.
func init() {
	celQuantities["quantity"] = []cel.FunctionOpt{
		cel.Overload("string_to_quantity", []*cel.Type{cel.StringType}, apiservercel.QuantityType, cel.UnaryBinding(func(arg ref.Val) ref.Val {
			q, err := celQuantity(arg)
			if err != nil {
				return types.WrapErr(err)
			}
			return apiservercel.Quantity{Quantity: &q}
		})),
	}
	celQuantities["isQuantity"] = []cel.FunctionOpt{
		cel.Overload("is_quantity_string", []*cel.Type{cel.StringType}, cel.BoolType, cel.UnaryBinding(func(arg ref.Val) ref.Val {
			_, err := celQuantity(arg)
			return types.Bool(err == nil)
		})),
	}
}

// celQuantity reads an argument that the checker knows to be a string.
func celQuantity(arg ref.Val) (resource.Quantity, error) {
	text, _ := arg.Value().(string)
	if quantity.Endless(text) {
		return resource.Quantity{}, resource.ErrNumeric
	}
	return resource.ParseQuantity(text)
}
