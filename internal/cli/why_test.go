package cli_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"

	"berth.dev/berth/internal/plan/why"
)

// asked is a way to be stuck that the real server and its loops are brought to.
type asked struct {
	name   string
	labels map[string]string // of the namespace
	object string            // statefulset/web unless given
	bring  func(t *testing.T, namespace string)
	want   why.Reason
	words  []string
	passes why.Passes
}

func TestWhy(t *testing.T) {
	c := start(t)
	c.node("silent", corev1.ConditionUnknown)
	for _, a := range c.waysOfPods() {
		a.check(t, c)
	}
	for _, a := range c.waysOfLoops() {
		a.check(t, c)
	}
	for _, a := range c.waysOfSets() {
		a.check(t, c)
	}
	t.Run("files", c.whyFiles)
	t.Run("questions without an answer", c.badQuestions)
	t.Run("forbidden", c.forbidden)
}

func (a asked) check(t *testing.T, c *cluster) {
	t.Run(a.name, func(t *testing.T) {
		namespace := strings.ReplaceAll(a.name, " ", "-")
		c.namespace(t, namespace, a.labels)
		a.bring(t, namespace)
		object := a.object
		if object == "" {
			object = "sts/web"
		}
		var words []string
		for _, w := range a.words {
			words = append(words, strings.ReplaceAll(w, "NS", namespace))
		}
		r := c.answer(t, namespace, object, a.want, words...)
		if r.Answers[0].Passes != a.passes {
			t.Errorf("passes by itself: %s, want %s", r.Answers[0].Passes, a.passes)
		}
	})
}

func (c *cluster) pod(t *testing.T, namespace, name string, change func(*corev1.Pod)) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "nginx", Image: "good"}}}}
	change(pod)
	_, err := c.Client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	must(t, err)
}

func (c *cluster) claim(t *testing.T, namespace, class string) {
	t.Helper()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	if class != "none" {
		claim.Spec.StorageClassName = &class
	}
	_, err := c.Client.CoreV1().PersistentVolumeClaims(namespace).Create(t.Context(), claim, metav1.CreateOptions{})
	must(t, err)
}

func mounts(pod *corev1.Pod) {
	pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
	}}}
}

func (c *cluster) waysOfPods() []asked {
	image := func(image string) func(*testing.T, string) {
		return func(t *testing.T, ns string) { c.set(t, ns, image, 3) }
	}
	pod := func(change func(*corev1.Pod)) func(*testing.T, string) {
		return func(t *testing.T, ns string) { c.pod(t, ns, "one", change) }
	}
	claim := func(class string) func(*testing.T, string) {
		return func(t *testing.T, ns string) { c.claim(t, ns, class) }
	}
	asks := func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100")}
	}
	return []asked{
		{name: "image", bring: image("absent:9"), want: why.ImageNotThere, passes: why.No, words: []string{
			"container nginx of pod web-0 cannot start: image absent:9 is not there: ImagePullBackOff",
			"web-1, web-2: made in order, when web-0 is available", "WaitsForLower",
			"berth kubectl --kubeconfig " + c.kubeconfig + " -n NS set image statefulset/web nginx=IMAGE",
		}},
		{name: "later pod", object: "pod/web-2", bring: image("absent:9"), want: why.ImageNotThere, passes: why.No, words: []string{
			"pod/web-2 in namespace NS: it does not exist yet; StatefulSet web makes it",
		}},
		{name: "crash", bring: image("crashing"), want: why.CrashLoop, passes: why.Unknown, words: []string{"last with exit code 3: Error (2 restarts)", "logs web-0 -c nginx --previous"}},
		{name: "memory", bring: image("hungry"), want: why.OutOfMemory, passes: why.No, words: []string{"OOMKilled, exit code 137"}},
		{name: "config", bring: image("unsettled"), want: why.ConfigMissing, passes: why.No, words: []string{`configmap "settings" not found`, "create configmap settings --from-file=FILE"}},
		{name: "pull secret", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "absent", 1, func(s *appsv1.StatefulSet) {
				s.Spec.Template.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
			})
		}, want: why.PullSecretMissing, passes: why.No, words: []string{"Secret registry to pull it with does not exist"}},
		{name: "gate", object: "pod/one", bring: pod(func(p *corev1.Pod) {
			p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
		}), want: why.SchedulingGated, passes: why.No, words: []string{"example.com/quota"}},
		{name: "room", object: "pod/one", bring: pod(asks), want: why.NoRoom, passes: why.Unknown, words: []string{
			"pod one fits on none of 2 nodes: they lack room", "n1: too little cpu (asks 100, 8 of 8 free)",
		}},
		{
			name: "selector", object: "pod/one", bring: pod(func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }),
			want: why.NoNodeMatches, passes: why.No, words: []string{"n1: lacks label disk=ssd", "label node n1 disk=ssd"},
		},
		{name: "node", object: "pod/one", bring: pod(func(p *corev1.Pod) { p.Spec.NodeName = "n7" }), want: why.NodeMissing, passes: why.Yes, words: []string{"node n7, which does not exist"}},
		{name: "silence", object: "pod/one", bring: func(t *testing.T, ns string) {
			c.pod(t, ns, "one", func(p *corev1.Pod) { p.Spec.NodeName = "silent" })
			must(t, c.Client.CoreV1().Pods(ns).Delete(t.Context(), "one", metav1.DeleteOptions{}))
		}, want: why.NodeSilent, passes: why.No, words: []string{"is terminating on node silent, which is not heard from", "delete node silent"}},
		{name: "finalizer", object: "pod/one", bring: func(t *testing.T, ns string) {
			c.pod(t, ns, "one", func(p *corev1.Pod) { p.Finalizers = []string{"example.com/backup"} })
			must(t, c.Client.CoreV1().Pods(ns).Delete(t.Context(), "one", metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(1))}))
		}, want: why.FinalizerKeeps, passes: why.Unknown, words: []string{"kept by its finalizers: example.com/backup"}},
		{name: "no class", object: "pvc/data", bring: claim("none"), want: why.ClaimNoClass, passes: why.No, words: []string{"names no StorageClass and none is the default"}},
		{name: "class", object: "pvc/data", bring: claim("fast"), want: why.ClaimClassMissing, passes: why.No, words: []string{"StorageClass fast, which does not exist"}},
		{name: "no volume", object: "pvc/data", bring: claim(""), want: why.ClaimNoVolumeFits, passes: why.No, words: []string{"finds no PersistentVolume that fits"}},
		{name: "consumer", object: "pvc/data", bring: func(t *testing.T, ns string) {
			_, err := c.Client.StorageV1().StorageClasses().Create(t.Context(), &storagev1.StorageClass{
				ObjectMeta: metav1.ObjectMeta{Name: "late"}, Provisioner: "example.com/late", VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
			}, metav1.CreateOptions{})
			must(t, err)
			c.claim(t, ns, "late")
		}, want: why.ClaimWaitsForConsumer, passes: why.Yes, words: []string{"gets its volume when a pod that uses it is placed", "nothing is stuck"}},
		{name: "pod with claim", object: "pod/one", bring: func(t *testing.T, ns string) {
			c.claim(t, ns, "fast")
			c.pod(t, ns, "one", mounts)
		}, want: why.ClaimClassMissing, passes: why.No, words: []string{"pod one cannot be placed before claim data is bound"}},
		{name: "claim in use", object: "pvc/data", bring: func(t *testing.T, ns string) {
			c.claim(t, ns, "fast")
			c.pod(t, ns, "one", func(p *corev1.Pod) { mounts(p); p.Spec.NodeName = "silent" })
			must(t, c.Client.CoreV1().PersistentVolumeClaims(ns).Delete(t.Context(), "data", metav1.DeleteOptions{}))
		}, want: why.ClaimInUse, passes: why.No, words: []string{"stays until no pod uses it: one does", "delete pod one"}},
	}
}

func (c *cluster) waysOfSets() []asked {
	roll := func(t *testing.T, ns string) {
		_, err := c.Client.AppsV1().StatefulSets(ns).Patch(t.Context(), "web", types.StrategicMergePatchType,
			[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":"good:2"}]}}}}`), metav1.PatchOptions{})
		must(t, err)
	}
	rolling := func(change func(*appsv1.StatefulSet)) func(*testing.T, string) {
		return func(t *testing.T, ns string) {
			c.set(t, ns, "good", 2, change)
			c.settled(t, ns, 2)
			roll(t, ns)
		}
	}
	return []asked{
		{
			name: "paused", bring: rolling(func(s *appsv1.StatefulSet) { s.Annotations = map[string]string{"berth.dev/paused": "true"} }),
			want: why.Paused, passes: why.No, words: []string{"annotate statefulset web berth.dev/paused-", "2 of 2 pods available, 0 of 2 on revision web-"},
		},
		{
			name: "partition", bring: rolling(func(s *appsv1.StatefulSet) { s.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To(int32(2)) }),
			want: why.PartitionKeeps, passes: why.No, words: []string{"(partition 2)", `{"partition":1}`},
		},
		{name: "overrides", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "good", 1, func(s *appsv1.StatefulSet) { s.Annotations = map[string]string{"berth.dev/overrides": "web-pods"} })
		}, want: why.OverridesUnusable, passes: why.No, words: []string{"there is no ConfigMap web-pods", "create configmap web-pods"}},
		{name: "not in place", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "good", 2, func(s *appsv1.StatefulSet) { s.Annotations = map[string]string{"berth.dev/paused": "true"} })
			c.settled(t, ns, 2)
			for _, patch := range []string{ // what cannot be done in place is only refused once that is asked for
				`{"spec":{"template":{"spec":{"containers":[{"name":"nginx","env":[{"name":"MODE","value":"fast"}]}]}}}}`,
				`{"metadata":{"annotations":{"berth.dev/paused":null,"berth.dev/in-place-update":"Only"}}}`,
			} {
				_, err := c.Client.AppsV1().StatefulSets(ns).Patch(t.Context(), "web", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
				must(t, err)
			}
		}, want: why.NotInPlace, passes: why.No, words: []string{"web-1 cannot be updated in place", "delete pod web-1"}},
		{name: "by hand", bring: rolling(func(s *appsv1.StatefulSet) {
			s.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
		}), want: why.OnDelete, passes: why.No, words: []string{"delete pod web-1"}},
		{name: "long ready", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "good", 2, func(s *appsv1.StatefulSet) { s.Spec.MinReadySeconds = 600 })
		}, want: why.MinReadySeconds, passes: why.Yes, words: []string{"of minReadySeconds left", "web-1: made in order, when web-0 is available", "nothing is stuck"}},
		{name: "scale down", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "good", 3)
			c.settled(t, ns, 3)
			pods := c.Client.CoreV1().Pods(ns)
			pod, err := pods.Get(t.Context(), "web-0", metav1.GetOptions{})
			must(t, err)
			pod.Status.Conditions[len(pod.Status.Conditions)-1].Status = corev1.ConditionFalse
			pod.Status.ContainerStatuses[0].Ready = false
			pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "RunContainerError", Message: "no such device"}}
			_, err = pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
			must(t, err)
			_, err = c.Client.AppsV1().StatefulSets(ns).Patch(t.Context(), "web", types.MergePatchType, []byte(`{"spec":{"replicas":1}}`), metav1.PatchOptions{})
			must(t, err)
		}, want: why.ContainerNotCreated, passes: why.No, words: []string{"cannot start: RunContainerError: no such device", "web-1, web-2: surplus, deleted in order, when web-0 is available"}},
		{name: "deadline", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "absent", 1, func(s *appsv1.StatefulSet) {
				s.Annotations = map[string]string{"berth.dev/progress-deadline-seconds": "1"}
			})
			until(t, "the deadline", func() bool {
				set, err := c.Client.AppsV1().StatefulSets(ns).Get(t.Context(), "web", metav1.GetOptions{})
				must(t, err)
				for _, cond := range set.Status.Conditions {
					if cond.Reason == "ProgressDeadlineExceeded" {
						return true
					}
				}
				return false
			})
		}, want: why.ImageNotThere, passes: why.No, words: []string{"StatefulSet web has passed its progress deadline: nothing has moved for 1s"}},
		{name: "quota", bring: func(t *testing.T, ns string) {
			q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "small"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": resource.MustParse("1")}}}
			_, err := c.Client.CoreV1().ResourceQuotas(ns).Create(t.Context(), q, metav1.CreateOptions{})
			must(t, err)
			until(t, "the quota", func() bool {
				q, err := c.Client.CoreV1().ResourceQuotas(ns).Get(t.Context(), "small", metav1.GetOptions{})
				return err == nil && len(q.Status.Hard) > 0
			})
			c.set(t, ns, "good", 2)
		}, want: why.QuotaExceeded, passes: why.No, words: []string{"pods: asked 1, used 1 of 1", `patch resourcequota small --type=merge -p '{"spec":{"hard":{"pods":"2"}}}'`}},
		{
			name: "security", labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}, bring: func(t *testing.T, ns string) { c.set(t, ns, "good", 1) },
			want: why.AdmissionRefuses, passes: why.No, words: []string{`violates PodSecurity "restricted:latest"`, "get namespace NS --show-labels"},
		},
		{name: "account", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "good", 1, func(s *appsv1.StatefulSet) { s.Spec.Template.Spec.ServiceAccountName = "web" })
		}, want: why.AdmissionRefuses, passes: why.No, words: []string{"create serviceaccount web"}},
		{name: "stranger", bring: func(t *testing.T, ns string) {
			c.pod(t, ns, "web-0", func(*corev1.Pod) {})
			c.set(t, ns, "good", 1)
		}, want: why.OwnerConflict, passes: why.No, words: []string{"pod web-0 exists, belongs to nobody and lacks the labels"}},
		{name: "service", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "good", 1, func(s *appsv1.StatefulSet) { s.Spec.ServiceName = "db" })
			c.settled(t, ns, 1)
		}, want: why.ServiceMissing, passes: why.No, words: []string{"Service db, which StatefulSet web names, does not exist"}},
		{name: "selects nothing", object: "svc/nginx", bring: func(*testing.T, string) {}, want: why.ServiceSelectsNone, passes: why.No, words: []string{"Service nginx selects app=web, and no pod"}},
		{name: "drain", object: "pod/web-0", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "good", 1)
			c.settled(t, ns, 1)
			c.spentBudget(t, ns)
			c.cordon(t, true)
		}, want: why.DisruptionBudget, passes: why.No, words: []string{"node n1 is cordoned, and pod web-0 cannot be evicted from it: PodDisruptionBudget web needs 1 healthy pods"}},
		{name: "cordoned", bring: func(t *testing.T, ns string) {
			c.set(t, ns, "good", 1, func(s *appsv1.StatefulSet) {
				s.Spec.Template.Spec.NodeSelector = map[string]string{corev1.LabelHostname: "n1"}
			})
		}, want: why.Unschedulable, passes: why.Unknown, words: []string{"n1: cordoned", "silent: lacks label kubernetes.io/hostname=n1"}},
		{
			name: "daemons", object: "ds/log", labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}, bring: c.daemons,
			want: why.AdmissionRefuses, passes: why.No, words: []string{`DaemonSet log cannot make its pods`, "get namespace NS --show-labels"},
		},
		{name: "suspended", object: "cj/tick", bring: c.suspended, want: why.Paused, passes: why.No, words: []string{"CronJob tick is suspended", `{"suspend":false}`}},
		{name: "namespace goes", bring: func(t *testing.T, ns string) {
			c.cordon(t, false)
			_, err := c.Client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "keep", Finalizers: []string{"example.com/keep"}}}, metav1.CreateOptions{})
			must(t, err)
			c.set(t, ns, "good", 1, func(s *appsv1.StatefulSet) { s.Finalizers = []string{"example.com/keep"} })
			must(t, c.Client.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}))
		}, want: why.NamespaceTerminating, passes: why.No, words: []string{"namespace NS is being deleted: nothing new is made in it"}},
	}
}

func (c *cluster) daemons(t *testing.T, ns string) {
	t.Helper()
	labels := map[string]string{"app": "log"}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "log"}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "log", Image: "good"}}}},
	}}
	_, err := c.Client.AppsV1().DaemonSets(ns).Create(t.Context(), ds, metav1.CreateOptions{})
	must(t, err)
}

func (c *cluster) suspended(t *testing.T, ns string) {
	t.Helper()
	cj := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "tick"}, Spec: batchv1.CronJobSpec{Schedule: "* * * * *", Suspend: new(bool)}}
	*cj.Spec.Suspend = true
	cj.Spec.JobTemplate.Spec.Template.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "good"}}}
	_, err := c.Client.BatchV1().CronJobs(ns).Create(t.Context(), cj, metav1.CreateOptions{})
	must(t, err)
}

func (c *cluster) cordon(t *testing.T, yes bool) {
	t.Helper()
	_, err := c.Client.CoreV1().Nodes().Patch(t.Context(), "n1", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"unschedulable":%v}}`, yes), metav1.PatchOptions{})
	must(t, err)
}

// forbidden: what may not be read is named, and the rest is said all the same.
func (c *cluster) forbidden(t *testing.T) {
	ctx, ns := t.Context(), "little"
	c.namespace(t, ns, nil)
	_, err := c.Client.RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "little"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"", "apps"}, Resources: []string{"pods", "statefulsets"}, Verbs: []string{"list"}},
	}}, metav1.CreateOptions{})
	must(t, err)
	_, err = c.Client.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "little"}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "little"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "default", Namespace: ns}},
	}, metav1.CreateOptions{})
	must(t, err)
	token, err := c.Client.CoreV1().ServiceAccounts(ns).CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	k := c.Kubeconfig()
	file := filepath.Join(t.TempDir(), "little")
	must(t, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: k.Server, CertificateAuthorityData: k.CAPEM}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {Token: token.Status.Token}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u", Namespace: ns}},
		CurrentContext: "x",
	}, file))
	c.set(t, ns, "absent", 1)
	c.answer(t, ns, "sts/web", why.ImageNotThere)
	admin := c.kubeconfig
	defer func() { c.kubeconfig = admin }()
	c.kubeconfig = file
	code, out, errOut := c.run("why", "sts/web")
	if code != 1 || !strings.Contains(out, "ImageNotThere") || !strings.Contains(out, "could not be read, so answers may be missing: persistentvolumeclaims: ") {
		t.Errorf("exit code %d\n%s%s", code, out, errOut)
	}
}

func (c *cluster) badQuestions(t *testing.T) {
	for _, q := range []struct {
		args []string
		want string
	}{
		{[]string{"why", "sts/none"}, "berth: statefulset/none not found in namespace default\n"},
		{[]string{"why", "sts/web", "-n", "nowhere"}, "berth: namespace nowhere does not exist\n"},
		{[]string{"why", "node/n1"}, `berth: "node" cannot be asked about; known are cronjob, daemonset, deployment`},
		{[]string{"why"}, "berth: name one object, such as sts/web\n"},
		{[]string{"why", "sts/web", "-o", "yaml"}, `berth: --output "yaml": only json is known`},
		{[]string{"why", "sts/web", "-f", "web.yaml"}, "berth: give either an object or -f FILE\n"},
		{[]string{"why", "-f", "/nowhere.yaml"}, "berth: "},
		{[]string{"why", "sts/web", "--nonsense"}, "berth: unknown flag: --nonsense\n"},
	} {
		if code, out, errOut := c.run(q.args...); code != 2 || !strings.HasPrefix(errOut, q.want) || out != "" {
			t.Errorf("%v: exit code %d, said %q and %q", q.args, code, out, errOut)
		}
	}
}
