// Package v20170312 lets flannel compile without the Tencent cloud SDK, whose module isn't published
// where Go modules come from. It holds only what flannel's tencent-vpc backend names; that backend can't be
// used with it and says so. Every other backend (vxlan, host-gw, wireguard) is untouched.
package v20170312

import "errors"

var errLeftOut = errors.New("this flannel was built without the tencent-vpc backend")

type (
	Client struct{}

	Filter struct {
		Name   *string
		Values []*string
	}

	Route struct {
		RouteId              *uint64
		DestinationCidrBlock *string
		GatewayType          *string
		GatewayId            *string
		RouteType            *string
		Enabled              *bool
	}

	RouteTable struct {
		RouteTableId *string
		RouteSet     []*Route
	}

	DescribeRouteTablesRequest struct{ Filters []*Filter }

	DescribeRouteTablesResponse struct {
		Response *struct{ RouteTableSet []*RouteTable }
	}

	DeleteRoutesRequest struct {
		RouteTableId *string
		Routes       []*Route
	}

	CreateRoutesRequest struct {
		RouteTableId *string
		Routes       []*Route
	}

	RoutesResponse struct{}
)

func NewClientWithSecretId(_, _, _ string) (*Client, error) { return &Client{}, nil }

func NewDescribeRouteTablesRequest() *DescribeRouteTablesRequest {
	return &DescribeRouteTablesRequest{}
}
func NewDeleteRoutesRequest() *DeleteRoutesRequest { return &DeleteRoutesRequest{} }
func NewCreateRoutesRequest() *CreateRoutesRequest { return &CreateRoutesRequest{} }

func (*Client) DescribeRouteTables(*DescribeRouteTablesRequest) (*DescribeRouteTablesResponse, error) {
	return nil, errLeftOut
}

func (*Client) DeleteRoutes(*DeleteRoutesRequest) (*RoutesResponse, error) { return nil, errLeftOut }

func (*Client) CreateRoutes(*CreateRoutesRequest) (*RoutesResponse, error) { return nil, errLeftOut }
