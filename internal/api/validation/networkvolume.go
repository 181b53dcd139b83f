package validation

import (
	"net"
	"path"
	"regexp"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// networkVolume checks the sources that live on some storage system.
func (c *podCheck) networkVolume(one *oneSource, v *corev1.Volume) {
	p := one.p
	if s := v.GitRepo; s != nil && one.take("gitRepo") {
		c.notEmpty(p.Child("gitRepo", "repository"), s.Repository)
		c.below(p.Child("gitRepo", "directory"), s.Directory)
	}
	if s := v.GCEPersistentDisk; s != nil && one.take("gcePersistentDisk") {
		c.gceDisk(p.Child("persistentDisk"), s)
	}
	if s := v.AWSElasticBlockStore; s != nil && one.take("awsElasticBlockStore") {
		c.awsDisk(p.Child("awsElasticBlockStore"), s)
	}
	if s := v.NFS; s != nil && one.take("nfs") {
		c.nfs(p.Child("nfs"), s)
	}
	if s := v.ISCSI; s != nil {
		if one.take("iscsi") {
			c.iscsi(p.Child("iscsi"), iscsi{
				s.TargetPortal, s.IQN, s.Lun, s.DiscoveryCHAPAuth || s.SessionCHAPAuth, s.SecretRef != nil, s.InitiatorName,
			}, " starting with iqn, eui, or naa")
		}
		if s.InitiatorName != nil && len(v.Name)+1+len(s.TargetPortal) > 64 {
			c.invalid(p.Child("name"), v.Name, iscsiTooLong)
		}
	}
	if s := v.Glusterfs; s != nil && one.take("glusterfs") {
		c.notEmpty(p.Child("glusterfs", "endpoints"), s.EndpointsName)
		c.notEmpty(p.Child("glusterfs", "path"), s.Path)
	}
	if s := v.Flocker; s != nil && one.take("flocker") {
		c.flocker(p.Child("flocker"), s)
	}
	if s := v.RBD; s != nil && one.take("rbd") {
		c.rbd(p.Child("rbd"), s.CephMonitors, s.RBDImage)
	}
	if s := v.Cinder; s != nil && one.take("cinder") {
		c.notEmpty(p.Child("cinder", "volumeID"), s.VolumeID)
		if s.SecretRef != nil {
			c.notEmpty(p.Child("cinder", "secretRef", "name"), s.SecretRef.Name)
		}
	}
	if s := v.CephFS; s != nil && one.take("cephFS") && len(s.Monitors) == 0 {
		c.required(p.Child("cephfs", "monitors"), "")
	}
	if s := v.Quobyte; s != nil && one.take("quobyte") {
		c.quobyte(p.Child("quobyte"), s)
	}
	if s := v.FC; s != nil && one.take("fc") {
		c.fibreChannel(p.Child("fc"), s)
	}
	if s := v.FlexVolume; s != nil && one.take("flexVolume") {
		c.flexVolume(p.Child("flexVolume"), s.Driver, s.Options)
	}
	if s := v.AzureFile; s != nil && one.take("azureFile") {
		c.notEmpty(p.Child("azureFile", "secretName"), s.SecretName)
		c.notEmpty(p.Child("azureFile", "shareName"), s.ShareName)
	}
	if s := v.VsphereVolume; s != nil && one.take("vsphereVolume") {
		c.notEmpty(p.Child("vsphereVolume", "volumePath"), s.VolumePath)
	}
	if s := v.PhotonPersistentDisk; s != nil && one.take("photonPersistentDisk") {
		c.notEmpty(p.Child("photonPersistentDisk", "pdID"), s.PdID)
	}
	if s := v.PortworxVolume; s != nil && one.take("portworxVolume") {
		c.notEmpty(p.Child("portworxVolume", "volumeID"), s.VolumeID)
	}
	if s := v.AzureDisk; s != nil && one.take("azureDisk") {
		c.azureDisk(p.Child("azureDisk"), s)
	}
	if s := v.StorageOS; s != nil && one.take("storageos") {
		c.storageOS(p.Child("storageos"), s.VolumeName, s.VolumeNamespace)
		if s.SecretRef != nil {
			c.notEmpty(p.Child("storageos", "secretRef", "name"), s.SecretRef.Name)
		}
	}
	if s := v.ScaleIO; s != nil && one.take("scaleIO") {
		c.scaleIO(p.Child("scaleIO"), s.Gateway, s.System, s.VolumeName)
	}
}

func (f *findings) partition(p *field.Path, n int32) {
	if n < 0 || n > 255 {
		f.invalid(p, n, validation.InclusiveRangeError(1, 255))
	}
}

func (f *findings) gceDisk(p *field.Path, s *corev1.GCEPersistentDiskVolumeSource) {
	f.notEmpty(p.Child("pdName"), s.PDName)
	f.partition(p.Child("partition"), s.Partition)
}

func (f *findings) awsDisk(p *field.Path, s *corev1.AWSElasticBlockStoreVolumeSource) {
	f.notEmpty(p.Child("volumeID"), s.VolumeID)
	f.partition(p.Child("partition"), s.Partition)
}

func (f *findings) nfs(p *field.Path, s *corev1.NFSVolumeSource) {
	f.notEmpty(p.Child("server"), s.Server)
	f.notEmpty(p.Child("path"), s.Path)
	if !path.IsAbs(s.Path) {
		f.invalid(p.Child("path"), s.Path, "must be an absolute path")
	}
}

const iscsiTooLong = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."

// iscsi is what the volume and the persistent volume have in common.
type iscsi struct {
	portal, iqn string
	lun         int32
	chap        bool
	secret      bool
	initiator   *string
}

var iscsiNames = sync.OnceValue(func() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"iqn": regexp.MustCompile(`iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`),
		"eui": regexp.MustCompile(`^eui.[[:alnum:]]{16}$`),
		"naa": regexp.MustCompile(`^naa.[[:alnum:]]{32}$`),
	}
})

func (f *findings) iscsi(p *field.Path, s iscsi, prefixHint string) {
	f.notEmpty(p.Child("targetPortal"), s.portal)
	if f.notEmpty(p.Child("iqn"), s.iqn) {
		f.iscsiName(p.Child("iqn"), s.iqn, prefixHint)
	}
	if s.lun < 0 || s.lun > 255 {
		f.invalid(p.Child("lun"), s.lun, validation.InclusiveRangeError(0, 255))
	}
	if s.chap && !s.secret {
		f.required(p.Child("secretRef"), "")
	}
	if s.initiator != nil {
		f.iscsiName(p.Child("initiatorname"), *s.initiator, prefixHint)
	}
}

func (f *findings) iscsiName(p *field.Path, name, prefixHint string) {
	pattern := iscsiNames()[name[:min(3, len(name))]]
	switch {
	case pattern == nil:
		f.invalid(p, name, "must be valid format"+prefixHint)
	case !pattern.MatchString(name):
		f.invalid(p, name, "must be valid format")
	}
}

func (f *findings) flocker(p *field.Path, s *corev1.FlockerVolumeSource) {
	if s.DatasetName == "" && s.DatasetUUID == "" {
		f.required(p, "one of datasetName and datasetUUID is required")
	}
	if s.DatasetName != "" && s.DatasetUUID != "" {
		f.invalid(p, "resource", "datasetName and datasetUUID can not be specified simultaneously")
	}
	if strings.Contains(s.DatasetName, "/") {
		f.invalid(p.Child("datasetName"), s.DatasetName, "must not contain '/'")
	}
}

func (f *findings) rbd(p *field.Path, monitors []string, image string) {
	if len(monitors) == 0 {
		f.required(p.Child("monitors"), "")
	}
	f.notEmpty(p.Child("image"), image)
}

func (f *findings) quobyte(p *field.Path, s *corev1.QuobyteVolumeSource) {
	const pairs = "must be a host:port pair or multiple pairs separated by commas"
	switch {
	case s.Registry == "":
		f.required(p.Child("registry"), pairs)
	case len(s.Tenant) >= 65:
		f.required(p.Child("tenant"), "must be a UUID and may not exceed a length of 64 characters")
	default:
		for _, pair := range strings.Split(s.Registry, ",") {
			if _, _, err := net.SplitHostPort(pair); err != nil {
				f.invalid(p.Child("registry"), s.Registry, pairs)
			}
		}
	}
	f.notEmpty(p.Child("volume"), s.Volume)
}

func (f *findings) fibreChannel(p *field.Path, s *corev1.FCVolumeSource) {
	switch {
	case len(s.TargetWWNs) == 0 && len(s.WWIDs) == 0:
		f.required(p.Child("targetWWNs"), "must specify either targetWWNs or wwids, but not both")
	case len(s.TargetWWNs) > 0 && len(s.WWIDs) > 0:
		f.invalid(p.Child("targetWWNs"), s.TargetWWNs, "targetWWNs and wwids can not be specified simultaneously")
	}
	if len(s.TargetWWNs) == 0 {
		return
	}
	if s.Lun == nil {
		f.required(p.Child("lun"), "lun is required if targetWWNs is specified")
	} else if *s.Lun < 0 || *s.Lun > 255 {
		f.invalid(p.Child("lun"), s.Lun, validation.InclusiveRangeError(0, 255))
	}
}

func (f *findings) flexVolume(p *field.Path, driver string, options map[string]string) {
	f.notEmpty(p.Child("driver"), driver)
	for key := range options {
		domain, _, _ := strings.Cut(key, "/")
		domain = "." + strings.ToLower(domain)
		if strings.HasSuffix(domain, ".kubernetes.io") || strings.HasSuffix(domain, ".k8s.io") {
			f.invalid(p.Child("options").Key(key), key, "kubernetes.io and k8s.io namespaces are reserved")
		}
	}
}

func (f *findings) azureDisk(p *field.Path, s *corev1.AzureDiskVolumeSource) {
	f.notEmpty(p.Child("diskName"), s.DiskName)
	f.notEmpty(p.Child("diskURI"), s.DataDiskURI)
	if s.CachingMode != nil {
		among(f, p.Child("cachingMode"), *s.CachingMode,
			corev1.AzureDataDiskCachingNone, corev1.AzureDataDiskCachingReadOnly, corev1.AzureDataDiskCachingReadWrite)
	}
	if s.Kind == nil {
		return
	}
	among(f, p.Child("kind"), *s.Kind, corev1.AzureDedicatedBlobDisk, corev1.AzureManagedDisk, corev1.AzureSharedBlobDisk)
	managed := *s.Kind == corev1.AzureManagedDisk
	if managed && !strings.HasPrefix(s.DataDiskURI, "/subscriptions/") {
		f.add(field.NotSupported(p.Child("diskURI"), s.DataDiskURI,
			[]string{"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"}))
	}
	if !managed && !strings.HasPrefix(s.DataDiskURI, "https://") {
		f.add(field.NotSupported(p.Child("diskURI"), s.DataDiskURI,
			[]string{"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"}))
	}
}

func (f *findings) storageOS(p *field.Path, name, namespace string) {
	if f.notEmpty(p.Child("volumeName"), name) {
		f.dnsLabel(p.Child("volumeName"), name)
	}
	if namespace != "" {
		f.dnsLabel(p.Child("volumeNamespace"), namespace)
	}
}

func (f *findings) scaleIO(p *field.Path, gateway, system, volume string) {
	f.notEmpty(p.Child("gateway"), gateway)
	f.notEmpty(p.Child("system"), system)
	f.notEmpty(p.Child("volumeName"), volume)
}
