package preview

// Result is what would become of one object.
type Result struct {
	// Object is such as "statefulset/web".
	Object    string `json:"object"`
	Namespace string `json:"namespace,omitempty"`
	Change    Change `json:"change"`
	Fields    []Diff `json:"fields,omitempty"`
	// Refused is why the API server does not accept it, Next the next command.
	Refused string `json:"refused,omitempty"`
	Next    string `json:"next,omitempty"`
	// Steps are what the controller would do, in order.
	Steps []Step `json:"steps,omitempty"`
	// End is how things are after the last step.
	End      string   `json:"end,omitempty"`
	Notes    []string `json:"notes,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// Change is what happens to the object itself.
type Change string

// What may happen.
const (
	Create    Change = "create"
	Configure Change = "change"
	Unchanged Change = "unchanged"
	Refused   Change = "refused"
)

// Step is what the controller does at once.
type Step struct {
	Number  int      `json:"step"`
	Actions []Action `json:"actions"`
	// Until is what is waited for before the next step.
	Until string `json:"until,omitempty"`
	// Available of Wanted pods are available after the actions.
	Available int `json:"available"`
	Wanted    int `json:"wanted"`
}

// Action is one write of the controller.
type Action struct {
	Do       string `json:"do"`
	Object   string `json:"object"`
	Reason   string `json:"reason"`
	Sentence string `json:"sentence"`
}

// Idle: nothing would happen.
func (r Result) Idle() bool { return r.Change == Unchanged && len(r.Steps) == 0 }
