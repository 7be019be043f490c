package network

// MaxLighthouses bounds the lighthouses' endpoints that VMs may reach, for the test that compares it with how many there are.
const MaxLighthouses = maxLighthouses
